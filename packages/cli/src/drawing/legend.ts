/** The words beside a picture: sizes, shares, and how scattered a file is. */

import { formatSize } from "../text/size.ts";
import type { HostFile } from "./host-file.ts";
import { METADATA, type PaintedKind } from "./painted-kind.ts";
import type { Picture } from "./picture.ts";
import type { Strip } from "./strip.ts";

export interface LegendEntry {
  readonly kind: PaintedKind;
  readonly name: string;
  readonly bytes: number;
  /** Percent of the whole, with its sign. */
  readonly share: string;
}

/** What there is in a strip, in the order of its kinds; kinds without a byte are left out. */
export function legendOf(strip: Strip, nameOf: (kind: PaintedKind) => string): readonly LegendEntry[] {
  const entries = strip.kinds.map((kind) => ({ kind, bytes: strip.total(kind) }));
  const present = entries.filter(({ bytes }) => bytes > 0);
  return present.map(({ kind, bytes }) => ({ kind, name: nameOf(kind), bytes, share: shareOf(bytes, strip.size) }));
}

/** The same in one line. */
export function shareWords(strip: Strip, nameOf: (kind: PaintedKind) => string): string {
  const entries = legendOf(strip, nameOf);
  return entries.map(({ name, bytes, share }) => `${formatSize(bytes)} ${name} (${share})`).join(", ");
}

/** In the picture of the disk: the name of a backing layer says which file it is. */
export function nameInDisk(kind: PaintedKind, { layers }: Picture): string {
  const depth = Number(/^layer (\d+)$/.exec(kind.name)?.[1] ?? 0);
  return depth === 0 ? kind.name : `${kind.name}: ${layers[depth]?.fileName ?? ""}`;
}

/** In the picture of a layer all data is its own. */
export function nameInLayer({ name }: PaintedKind): string {
  return /^layers? /.test(name) ? "data" : name;
}

/** Bytes that hold neither data nor nothing. */
export function metadataName(kind: PaintedKind, others: readonly string[]): string {
  return kind === METADATA && others.length > 0 ? [kind.name, ...others].join(", ") : kind.name;
}

/** How many pieces, how large, and how many are out of order. */
export function scatterWords(file: HostFile): string {
  const { pieces, backward, dataLength } = file;
  if (pieces === 0) return "no data";
  if (pieces === 1) return "data in one piece";
  const order = backward === 0 ? "in order" : `${backward} of them before what precedes them in the disk`;
  return `data in ${pieces} pieces of ${formatSize(dataLength / pieces)} on average, ${order}`;
}

/** Never `0 %` of something, nor `100 %` where something is missing. */
function shareOf(bytes: number, size: number): string {
  const percent = (bytes / size) * 100;
  if (percent < 0.1) return "<0.1 %";
  if (percent > 99.9 && bytes < size) return ">99.9 %";
  return `${percent < 99.95 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}
