/** Extended L2 entries: 32 subclusters a cluster, each with data, zeros or nothing. qcow2 spec, "Extended L2 Entries". */

import type { Mapping } from "@coblock/core";
import { isCompressed, isCopied, offsetOf } from "../format/entries.ts";
import { badL2Entry, type L2Place, plainProblem } from "../metadata/l2-entry.ts";
import { describeCompressed, type TableQuery } from "./lookup.ts";

export const SUBCLUSTERS = 32;
export const ALL_SUBCLUSTERS = 0xffff_ffff;

type SubclusterKind = "data" | "zero" | "unallocated";

/** An extended entry that is not compressed. */
export interface Subclusters {
  /** The host cluster, 0 where there is none. */
  readonly host: number;
  readonly copied: boolean;
  /** There is a host cluster; with a data file it may be at 0. */
  readonly placed: boolean;
  /** Bit i: subcluster i has data. Unsigned. */
  readonly allocated: number;
  /** Bit i: subcluster i reads as zeros. Unsigned. */
  readonly zeros: number;
}

/** Throws CORRUPT_IMAGE where the entry cannot be. */
export function subclustersAt(place: L2Place, index: number): Subclusters {
  const problem = problemAt(place, index);
  if (problem !== undefined) throw badL2Entry(place, index, problem);
  return decode(place, index);
}

/** Bits [from, from + count) of a word of subclusters, unsigned. */
export function subclusterBits(from: number, count: number): number {
  return count >= SUBCLUSTERS ? ALL_SUBCLUSTERS : ((2 ** count - 1) * 2 ** from) % 2 ** SUBCLUSTERS;
}

/** Joins subclusters of one kind, also beyond the cluster; those with space only while it lies in a row. */
export function describeSubclusters(query: TableQuery): Mapping {
  const { geometry, data, length, skip, transform } = query;
  const { subclusterSize, clusterSize } = geometry;
  if (isCompressed(query.table.high(query.index * 2))) return describeCompressed(query);
  const first = subclustersAt(query, query.index);
  const firstSubcluster = Math.floor(skip / subclusterSize);
  const kind = kindOf(first, firstSubcluster);
  let covered = sameKind(first, firstSubcluster, kind) * subclusterSize - (skip % subclusterSize);
  for (let next = query.index + 1; covered < length && (skip + covered) % clusterSize === 0; next++) {
    const joined = joinedSubclusters(query, next, kind, first, first.host + skip + covered);
    if (joined === 0) break;
    covered += joined * subclusterSize;
  }
  const run = Math.min(covered, length);
  const childOffset = first.host + skip;
  if (kind === "data") return { kind, length: run, child: data, childOffset, writable: first.copied, transform };
  const isShown = first.placed && transform === undefined;
  return { kind, length: run, reserved: isShown ? { child: data, childOffset } : undefined };
}

/** How many subclusters of entry `index`, from its first on, go on with the run. A bad entry ends it; it is reported when it is asked for. */
function joinedSubclusters(query: TableQuery, index: number, kind: SubclusterKind, first: Subclusters, host: number): number {
  if (isCompressed(query.table.high(index * 2)) || problemAt(query, index) !== undefined) return 0;
  const entry = decode(query, index);
  if (first.placed !== entry.placed) return 0;
  if (first.placed && (entry.host !== host || entry.copied !== first.copied)) return 0;
  return sameKind(entry, 0, kind);
}

function sameKind(entry: Subclusters, from: number, kind: SubclusterKind): number {
  let end = from;
  while (end < SUBCLUSTERS && kindOf(entry, end) === kind) end++;
  return end - from;
}

function kindOf({ allocated, zeros }: Subclusters, subcluster: number): SubclusterKind {
  if (((allocated >>> subcluster) & 1) === 1) return "data";
  return ((zeros >>> subcluster) & 1) === 1 ? "zero" : "unallocated";
}

function decode({ table, geometry }: L2Place, index: number): Subclusters {
  const high = table.high(index * 2);
  const host = offsetOf(high, table.low(index * 2));
  const copied = isCopied(high);
  return {
    host,
    copied,
    placed: host !== 0 || (geometry.externalData && copied),
    allocated: table.low(index * 2 + 1),
    zeros: table.high(index * 2 + 1),
  };
}

function problemAt(place: L2Place, index: number): string | undefined {
  const { allocated, zeros, placed } = decode(place, index);
  if ((zeros & allocated) !== 0) return "a subcluster is both data and zero";
  if (allocated !== 0 && !placed) return "subclusters have data but no host cluster";
  return plainProblem(place, index);
}
