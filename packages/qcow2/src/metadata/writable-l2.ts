/** An L2 table that may be changed: the one there is, a copy of one that a snapshot shares, or a new one. */

import type { CachedTable, Wait } from "@coblock/core";
import { clusterOf, l1IndexOf, l2IndexOf } from "../format/geometry.ts";
import type { L2Place } from "./l2-entry.ts";
import type { Metadata, WritableMetadata } from "./metadata.ts";
import type { TableBytes } from "./table-bytes.ts";

/** The slice of a table with one entry. */
export interface PresentL2 {
  readonly slice: CachedTable<TableBytes>;
  readonly place: L2Place;
  /** The entry, counted from the beginning of the slice. */
  readonly index: number;
}

/** Pinned until the caller's change is made. */
export interface WritableL2 extends PresentL2 {
  readonly kind: "writable";
  readonly pin: Disposable;
}

/** For the entry of the cluster at `guestOffset`. The L1 entry changes in memory at once, and goes to disk after the table (`WriteOut`). */
export async function writableL2(metadata: Metadata, writable: WritableMetadata, guestOffset: number): Promise<WritableL2 | Wait> {
  const { geometry, l2 } = metadata;
  const l1Index = l1IndexOf(geometry, guestOffset);
  const entry = l2IndexOf(geometry, guestOffset);
  const slice = await writableSlice(metadata, writable, l1Index, entry);
  if (slice.kind === "wait") return slice;
  return { kind: "writable", ...inSlice(metadata, slice, l1Index, entry), pin: l2.slices.pin(slice) };
}

/** The same where the slice is in memory and its table has this one owner; else `undefined`. Not pinned. */
export function presentL2(metadata: Metadata, guestOffset: number): PresentL2 | undefined {
  const { geometry, l1, l2 } = metadata;
  const l1Index = l1IndexOf(geometry, guestOffset);
  const offset = l1.l2Offset(l1Index);
  if (offset === 0 || !l1.isOwned(l1Index)) return undefined;
  const entry = l2IndexOf(geometry, guestOffset);
  const slice = l2.find(offset, entry);
  return slice === undefined ? undefined : inSlice(metadata, slice, l1Index, entry);
}

function inSlice({ file, geometry, l2 }: Metadata, slice: CachedTable<TableBytes>, l1Index: number, entry: number): PresentL2 {
  const index = entry % l2.sliceEntries;
  return { slice, place: { file, geometry, table: slice.table, l1Index, offset: slice.offset, firstEntry: entry - index }, index };
}

async function writableSlice(
  metadata: Metadata,
  writable: WritableMetadata,
  l1Index: number,
  entry: number,
): Promise<CachedTable<TableBytes> | Wait> {
  const { l1, l2, geometry } = metadata;
  const offset = l1.l2Offset(l1Index);
  if (offset === 0) return addTable(metadata, writable, l1Index, entry, new Uint8Array(geometry.clusterSize));
  if (!l1.isOwned(l1Index)) await metadata.file.event("l2_alloc_cow_read");
  const slice = l2.get(offset, entry, "write");
  if (slice.kind === "wait" || l1.isOwned(l1Index)) return slice;
  const bytes = await l2.copyTable(offset);
  const drops = await writable.references.plan([], [clusterOf(geometry, offset)]);
  const copy = await addTable(metadata, writable, l1Index, entry, bytes);
  writable.references.commit(drops, "other");
  writable.map.removeL2Table(offset);
  l2.dropTable(offset);
  return copy;
}

async function addTable(
  metadata: Metadata,
  { clusters, map }: WritableMetadata,
  l1Index: number,
  entry: number,
  bytes: Uint8Array,
): Promise<CachedTable<TableBytes>> {
  const { file, l1, l2, geometry } = metadata;
  const { first } = await clusters.allocate(1);
  const offset = first * geometry.clusterSize;
  try {
    await file.event("l2_alloc_write");
    const slice = await l2.insertTable(offset, bytes, entry);
    l1.set(l1Index, offset);
    map.addL2Table(offset);
    return slice;
  } catch (error) {
    await clusters.giveBack(first, 1);
    throw error;
  }
}
