/** A picture in the characters of a terminal: blocks by kind and density, a line for each layer and file, and the legend. */

import { wrap } from "../manual/text-page.ts";
import type { Screen } from "../terminal/screen.ts";
import { formatSize } from "../text/size.ts";
import type { HostFile } from "./host-file.ts";
import { legendOf, metadataName, nameInDisk, nameInLayer, scatterWords, shareWords, type LegendEntry } from "./legend.ts";
import { UNALLOCATED, type PaintedKind } from "./painted-kind.ts";
import type { Picture } from "./picture.ts";
import type { Strip } from "./strip.ts";

/** Lines that the disk gets. */
export const DISK_LINES = 6;
/** In front of each line: an offset, or the number of a layer. */
const LABEL_WIDTH = 9;
/** How full a cell is. */
const DENSITIES = ["░", "▒", "▓", "█"];
/** Of places in the disk, first to last: a ramp whose lightness grows evenly (matplotlib's viridis). */
const PLACE_COLOURS = [54, 61, 60, 31, 30, 36, 35, 71, 113, 148];

/** Cells in a line; the last column stays free, for terminals that go to the next line too early. */
export function cellsOf(screen: Screen): number {
  return Math.max(10, screen.columns - LABEL_WIDTH - 1);
}

/** Ends with a line's end. */
export function drawOnTerminal(picture: Picture, screen: Screen): string {
  const { fileName, format, start, end, disk, layers } = picture;
  const chain = layers.length > 1 ? `, ${layers.length} layers` : "";
  const part = start > 0 ? ` from ${formatSize(start)} on` : "";
  const lines = [
    `${screen.bold(fileName)} (${format}${chain}): ${formatSize(end - start)}${part} as a guest reads it, ${formatSize(disk.size / disk.count)} a cell`,
    ...diskLines(picture, screen),
    ...legendLines(
      legendOf(disk, (kind) => nameInDisk(kind, picture)),
      screen,
    ),
  ];
  if (layers.length > 1) {
    lines.push("", `${screen.bold("Layers")} on the same scale, each with what it holds itself`);
    for (const [depth, { strip, fileName: name, format: layerFormat }] of layers.entries()) {
      lines.push(labelled(String(depth), cellsIn(strip, 0, strip.count, screen)));
      lines.push(...paragraph(`${name} (${layerFormat}): ${shareWords(strip, nameInLayer)}`, screen));
    }
  }
  for (const { files, others } of layers) for (const file of files) lines.push("", ...fileLines(file, others, end - start, screen));
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

function diskLines({ disk, start }: Picture, screen: Screen): readonly string[] {
  const width = cellsOf(screen);
  const lines: string[] = [];
  for (let first = 0; first < disk.count; first += width)
    lines.push(labelled(formatSize(start + disk.start(first)), cellsIn(disk, first, Math.min(first + width, disk.count), screen)));
  return lines;
}

function fileLines(file: HostFile, others: readonly string[], diskSize: number, screen: Screen): readonly string[] {
  const strip = file.strip();
  const ramp = screen.hasColours ? "from dark to light" : "from 0 to 9";
  return [
    `${screen.bold("File")} ${file.fileName}: ${formatSize(file.size)} in the order of the host, ${formatSize(strip.size / strip.count)} a cell`,
    labelled("use", cellsIn(strip, 0, strip.count, screen)),
    labelled("place", placesIn(file.positions(diskSize), screen)),
    ...legendLines(
      legendOf(strip, (kind) => metadataName(kind, others)),
      screen,
    ),
    ...paragraph(`${scatterWords(file)}; place: where in the disk the data belongs, ${ramp}`, screen),
  ];
}

function legendLines(entries: readonly LegendEntry[], screen: Screen): readonly string[] {
  const nameWidth = Math.max(...entries.map(({ name }) => name.length));
  return entries.map(({ kind, name, bytes, share }) => {
    const sample = glyphOf(kind, kind.rank === 0 ? 0 : 1, screen);
    return labelled("", `${sample} ${name.padEnd(nameWidth)}  ${formatSize(bytes).padStart(8)}  ${share.padStart(6)}`);
  });
}

function paragraph(text: string, screen: Screen): readonly string[] {
  return wrap(text, cellsOf(screen)).map((line) => labelled("", screen.dim(line)));
}

function labelled(label: string, text: string): string {
  return `${label.padStart(LABEL_WIDTH - 1)} ${text}`;
}

/** Neighbours of one look share their colour codes. */
function cellsIn(strip: Strip, from: number, to: number, screen: Screen): string {
  return joinRuns(
    Array.from({ length: to - from }, (_, index) => {
      const { kind, share } = shownIn(strip, from + index);
      return { glyph: plainGlyphOf(kind, share, screen), colour: kind.colour };
    }),
    screen,
  );
}

/** Of the kinds in a bucket the one of the highest rank, of those the largest; and how much of the bucket has that rank. */
function shownIn(strip: Strip, bucket: number): { readonly kind: PaintedKind; readonly share: number } {
  let shown: PaintedKind = strip.kinds.find(({ rank }) => rank === 0) ?? UNALLOCATED;
  let largest = 0;
  let ofRank = 0;
  for (const kind of strip.kinds) {
    const bytes = strip.bytes(bucket, kind);
    if (bytes === 0 || kind.rank < shown.rank) continue;
    if (kind.rank > shown.rank) [largest, ofRank] = [0, 0];
    ofRank += bytes;
    if (bytes > largest) [largest, shown] = [bytes, kind];
  }
  return { kind: shown, share: ofRank / strip.length(bucket) };
}

function plainGlyphOf(kind: PaintedKind, share: number, screen: Screen): string {
  if (!screen.hasUnicode) return kind.ascii;
  if (!screen.hasColours || kind.rank < 2) return kind.glyph;
  return DENSITIES[Math.min(DENSITIES.length - 1, Math.floor(share * DENSITIES.length))] ?? kind.glyph;
}

function glyphOf(kind: PaintedKind, share: number, screen: Screen): string {
  return screen.colour(plainGlyphOf(kind, share, screen), kind.colour);
}

function placesIn(positions: ReadonlyArray<number | undefined>, screen: Screen): string {
  const cells = positions.map((position) => {
    if (position === undefined) return { glyph: " ", colour: 0 };
    const tenth = Math.min(9, Math.floor(position * 10));
    return { glyph: screen.hasColours && screen.hasUnicode ? "█" : String(tenth), colour: PLACE_COLOURS[tenth] ?? 0 };
  });
  return joinRuns(cells, screen);
}

interface Cell {
  readonly glyph: string;
  readonly colour: number;
}

function joinRuns(cells: readonly Cell[], screen: Screen): string {
  let text = "";
  for (let first = 0; first < cells.length;) {
    let run = "";
    const colour = cells[first]?.colour ?? 0;
    while (cells[first]?.colour === colour) run += cells[first++]?.glyph ?? "";
    text += screen.colour(run, colour);
  }
  return text;
}
