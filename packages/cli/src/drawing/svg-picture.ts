/** A picture as SVG: one file that needs nothing else, reads in light and dark, and says in words what it shows. */

import { formatSize } from "../text/size.ts";
import type { HostFile } from "./host-file.ts";
import { legendOf, metadataName, nameInDisk, nameInLayer, scatterWords, shareWords } from "./legend.ts";
import type { PaintedKind } from "./painted-kind.ts";
import type { Picture } from "./picture.ts";
import type { Strip } from "./strip.ts";
import { Page } from "./svg-page.ts";

/** Buckets that a line of the disk has, and lines; layers and files have one line of finer buckets. */
const LINE_COUNT = 5;
const DISK_BUCKETS_IN_LINE = 304;
/** What a survey for this picture is asked for. */
export const SVG_COUNTS: { readonly diskCount: number; readonly layerCount: number; readonly fileCount: number } = {
  diskCount: LINE_COUNT * DISK_BUCKETS_IN_LINE,
  layerCount: 456,
  fileCount: 456,
};

/** Pixels. */
const WIDTH = 960;
const MARGIN = 24;
const DISK_LINE_HEIGHT = 26;
const STRIP_HEIGHT = 22;
const GAP = 4;
/** What is there is seen, however little it is. */
const THINNEST = 2;

/** As the terminal's, with ten steps from the first place in the disk to the last. */
const PLACE_FILLS = ["#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#5ec962", "#8fd744", "#bddf26", "#fde725"];

/** The whole file. */
export function drawAsSvg(picture: Picture): string {
  const { fileName, format, start, end, disk, layers } = picture;
  const page = new Page(WIDTH, MARGIN);
  const chain = layers.length > 1 ? `, ${layers.length} layers` : "";
  const part = start > 0 ? ` from ${formatSize(start)} on` : "";
  const title = `${fileName} (${format}${chain}): ${formatSize(end - start)}${part}`;
  page.heading(title);
  page.line("As a guest reads it, line by line");
  drawLines(page, disk);
  page.legend(legendOf(disk, (kind) => nameInDisk(kind, picture)));
  if (layers.length > 1) {
    page.heading("Layers, on one scale, each with what it holds itself");
    for (const [depth, { strip, fileName: name, format: layerFormat }] of layers.entries()) {
      page.line(`${depth}: ${name} (${layerFormat}): ${shareWords(strip, nameInLayer)}`);
      drawStrip(page, strip, 0, strip.count, STRIP_HEIGHT);
    }
  }
  for (const { files, others } of layers) for (const file of files) drawFile(page, file, others, end - start);
  return page.finish(title, describe(picture));
}

/** The picture in words. */
function describe(picture: Picture): string {
  const { disk, layers } = picture;
  const parts = [`The disk: ${shareWords(disk, (kind) => nameInDisk(kind, picture))}.`];
  for (const [depth, { fileName, format, strip, files, others }] of layers.entries()) {
    if (layers.length > 1) parts.push(`Layer ${depth}, ${fileName} (${format}), holds: ${shareWords(strip, nameInLayer)}.`);
    for (const file of files) {
      const uses = legendOf(file.strip(), (kind) => metadataName(kind, others)).map(({ name, share }) => `${name} ${share}`);
      parts.push(`The file ${file.fileName}, ${formatSize(file.size)}: ${uses.join(", ")}; ${scatterWords(file)}.`);
    }
  }
  return parts.join(" ");
}

function drawLines(page: Page, disk: Strip): void {
  for (let first = 0; first < disk.count; first += DISK_BUCKETS_IN_LINE)
    drawStrip(page, disk, first, Math.min(first + DISK_BUCKETS_IN_LINE, disk.count), DISK_LINE_HEIGHT, DISK_BUCKETS_IN_LINE);
  page.space(GAP);
}

/** Each bucket is a column in which the kinds lie one over the other, as high as their shares. */
function drawStrip(page: Page, strip: Strip, from: number, to: number, height: number, bucketsInLine: number = strip.count): void {
  const top = page.top;
  const columnWidth = page.innerWidth / Math.min(bucketsInLine, strip.count);
  const paths = new Map<PaintedKind, string[]>();
  for (let bucket = from; bucket < to;) {
    const same = endOfSame(strip, bucket, to);
    const x = MARGIN + (bucket - from) * columnWidth;
    const width = (same - bucket) * columnWidth;
    let bottom = top + height;
    for (const [kind, part] of partsOf(strip, bucket, height)) {
      const path = paths.get(kind) ?? [];
      paths.set(kind, path);
      path.push(rectangle(x, bottom - part, width, part));
      bottom -= part;
    }
    bucket = same;
  }
  for (const [kind, path] of paths) page.path(page.classOf(kind), path.join(""), kind.name);
  page.space(height + GAP);
}

/** The heights of the kinds in a bucket, in pixels; together they fill it. */
function partsOf(strip: Strip, bucket: number, height: number): ReadonlyArray<readonly [PaintedKind, number]> {
  const present = strip.kinds.filter((kind) => strip.bytes(bucket, kind) > 0);
  const parts = present.map((kind) => {
    const exact = (strip.bytes(bucket, kind) / strip.length(bucket)) * height;
    return [kind, kind.rank > 0 ? Math.max(exact, THINNEST) : exact] as const;
  });
  const sum = parts.reduce((total, [, part]) => total + part, 0);
  return parts.map(([kind, part]) => [kind, (part * height) / sum]);
}

/** The first bucket from `bucket` on that has other shares. */
function endOfSame(strip: Strip, bucket: number, to: number): number {
  const share = (index: number, kind: PaintedKind): number => strip.bytes(index, kind) / strip.length(index);
  let end = bucket + 1;
  while (end < to && strip.kinds.every((kind) => share(end, kind) === share(bucket, kind))) end++;
  return end;
}

function drawFile(page: Page, file: HostFile, others: readonly string[], diskSize: number): void {
  const strip = file.strip();
  page.heading(`File ${file.fileName}: ${formatSize(file.size)}, in the order of the host`);
  drawStrip(page, strip, 0, strip.count, STRIP_HEIGHT);
  page.legend(legendOf(strip, (kind) => metadataName(kind, others)));
  const positions = file.positions(diskSize);
  if (positions.every((position) => position === undefined)) return;
  page.line("Where in the disk the data belongs, from dark (its beginning) to light (its end)");
  const tenths = positions.map((position) => (position === undefined ? undefined : Math.min(9, Math.floor(position * 10))));
  const columnWidth = page.innerWidth / tenths.length;
  for (const [tenth, fill] of PLACE_FILLS.entries()) {
    const path: string[] = [];
    for (let from = tenths.indexOf(tenth); from >= 0;) {
      const length = tenths.slice(from).findIndex((other) => other !== tenth);
      const to = length < 0 ? tenths.length : from + length;
      path.push(rectangle(MARGIN + from * columnWidth, page.top, (to - from) * columnWidth, STRIP_HEIGHT));
      from = tenths.indexOf(tenth, to);
    }
    if (path.length > 0) page.filledPath(fill, path.join(""));
  }
  page.space(STRIP_HEIGHT + GAP);
  page.line(scatterWords(file));
}

function rectangle(x: number, y: number, width: number, height: number): string {
  return `M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}z`;
}

/** Hundredths of a pixel are enough. */
function short(pixels: number): string {
  return String(Math.round(pixels * 100) / 100);
}
