/** From an entry of the test format to the mapping of guest bytes. */

import type { BlockChild, Mapping } from "@coblock/core";
import {
  EMPTY_ENTRY,
  ENTRIES_PER_PAGE,
  type Entry,
  hasSector,
  HEADER_SIZE,
  type Page,
  PAGE_SIZE,
  SECTOR_SIZE,
  withSectors,
} from "./layout.ts";

/** Guest bytes [offset, offset + length) within one cluster, and the cluster's place in its file. */
export interface ClusterPart {
  readonly entry: Entry;
  readonly child: BlockChild;
  readonly clusterSize: number;
  readonly offset: number;
  readonly length: number;
}

/** Where the page of a cluster is in the metadata file, bytes. */
export function pageOffset(clusterIndex: number): number {
  return HEADER_SIZE + Math.floor(clusterIndex / ENTRIES_PER_PAGE) * PAGE_SIZE;
}

/** The entry of a cluster, as stored. */
export function entryOf(page: Page, clusterIndex: number): Entry {
  return page[clusterIndex % ENTRIES_PER_PAGE] ?? EMPTY_ENTRY;
}

/** Stores the entry of a cluster. */
export function setEntry(page: Page, clusterIndex: number, entry: Entry): void {
  page[clusterIndex % ENTRIES_PER_PAGE] = entry;
}

/** No sector of the cluster is data or zero. */
export function isUnallocated(entry: Entry): boolean {
  return entry.storedLength === 0 && withSectors(entry.data, entry.zero) === 0;
}

/** Bytes from `offset` on, at most `length`, in clusters of this page that are all unallocated. */
export function unallocatedRun(page: Page, clusterSize: number, offset: number, length: number): number {
  let clusterIndex = Math.floor(offset / clusterSize);
  do clusterIndex++;
  while (clusterIndex % ENTRIES_PER_PAGE !== 0 && isUnallocated(entryOf(page, clusterIndex)));
  return Math.min(length, clusterIndex * clusterSize - offset);
}

/** A cluster that is stored as it is: the run of sectors of one kind that starts at `offset`. */
export function describeSectors(part: ClusterPart, writable: boolean): Mapping {
  const { entry, child, clusterSize, offset } = part;
  const within = offset % clusterSize;
  const first = Math.floor(within / SECTOR_SIZE);
  const kind = kindOf(entry, first);
  let next = first + 1;
  while (next * SECTOR_SIZE < clusterSize && kindOf(entry, next) === kind) next++;
  const length = Math.min(part.length, next * SECTOR_SIZE - within);
  if (kind === "unallocated") return { kind, length };
  if (entry.slot === undefined) return { kind: "zero", length };
  const childOffset = entry.slot * clusterSize + within;
  return kind === "zero" ? { kind, length, reserved: { child, childOffset } } : { kind, length, child, childOffset, writable };
}

function kindOf(entry: Entry, sector: number): "data" | "zero" | "unallocated" {
  if (hasSector(entry.data, sector)) return "data";
  return hasSector(entry.zero, sector) ? "zero" : "unallocated";
}
