/** A backing chain as a table: one image a line, what it stands on below it. */

import { formatSize } from "../text/size.ts";
import type { ImageFacts } from "../text/image-info.ts";
import type { Screen } from "./screen.ts";

const HEADINGS = ["", "format", "virtual size", "disk size", "cluster", "flags", "file"];
const GAP = "  ";
/** Columns whose numbers stand below each other. */
const RIGHT = [0, 2, 3, 4];

/**
 * From the top down; ends with a line's end. Names of files are never cut, for they are there to be copied: where the terminal is too
 * narrow for the longest, each stands in a line of its own below its row.
 */
export function chainTable(chain: readonly ImageFacts[], screen: Screen): string {
  const rows = chain.map((facts, depth) => [
    String(depth),
    facts.format,
    formatSize(facts.virtualSize),
    facts.actualSize === undefined ? "?" : formatSize(facts.actualSize),
    facts.info.clusterSize === undefined ? "-" : formatSize(facts.info.clusterSize),
    flagsOf(facts).join(" ") || "-",
    facts.fileName,
  ]);
  const widths = HEADINGS.map((heading, column) =>
    Math.max(...[heading, ...rows.map((row) => row[column] ?? "")].map((text) => text.length)),
  );
  const lineOf = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => pad(cell, widths[column] ?? 0, column))
      .join(GAP)
      .trimEnd();
  const isWide = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) <= screen.columns;
  const lines = isWide
    ? rows.map(lineOf)
    : rows.flatMap((row) => [lineOf(row.slice(0, -1)), `${" ".repeat((widths[0] ?? 0) + GAP.length)}${row.at(-1) ?? ""}`]);
  const head = screen.bold(lineOf(isWide ? HEADINGS : HEADINGS.slice(0, -1)));
  return [head, ...lines].map((line) => `${line}\n`).join("");
}

function pad(cell: string, width: number, column: number): string {
  if (column === HEADINGS.length - 1) return cell;
  return RIGHT.includes(column) ? cell.padStart(width) : cell.padEnd(width);
}

/** What is unusual about an image. */
function flagsOf({ info }: ImageFacts): readonly string[] {
  const data = info.formatSpecific?.data ?? {};
  const bitmaps = data["bitmaps"];
  const snapshots = info.snapshots?.length ?? 0;
  return [
    ...(info.encrypted === true ? ["encrypted"] : []),
    ...(info.compressed === true ? ["compressed"] : []),
    ...(info.dirty === true ? ["unclean"] : []),
    ...(info.corrupt === true || data["corrupt"] === true ? ["corrupt"] : []),
    ...(snapshots > 0 ? [`snapshots=${snapshots}`] : []),
    ...(Array.isArray(bitmaps) && bitmaps.length > 0 ? [`bitmaps=${bitmaps.length}`] : []),
    ...(typeof data["data-file"] === "string" ? ["data-file"] : []),
    ...(data["extended-l2"] === true ? ["extended-l2"] : []),
    ...(data["lazy-refcounts"] === true ? ["lazy-refcounts"] : []),
    ...(data["compat"] === "0.10" ? ["version=2"] : []),
    ...(data["compression-type"] === "zstd" ? ["zstd"] : []),
  ];
}
