/** An L2 table that may be changed: the one there is, a copy of one that a snapshot shares, or a new one. */

import type { CachedTable, Wait } from "@coblock/core";
import { clusterOf } from "../format/geometry.ts";
import type { Metadata, WritableMetadata } from "./metadata.ts";
import { TableBytes } from "./table-bytes.ts";

/** Pinned until the caller's change is made. */
export interface WritableL2 {
  readonly kind: "writable";
  readonly entry: CachedTable<TableBytes>;
  readonly pin: Disposable;
}

/** The L2 table for L1 entry `index`. The L1 entry changes in memory at once, and goes to disk after the table (`WriteOut`). */
export async function writableL2(metadata: Metadata, writable: WritableMetadata, index: number): Promise<WritableL2 | Wait> {
  const { l1, l2, geometry } = metadata;
  const offset = l1.l2Offset(index);
  if (offset === 0) return addTable(metadata, writable, index, new Uint8Array(geometry.clusterSize));
  if (!l1.isOwned(index)) await metadata.file.event("l2_alloc_cow_read");
  const entry = l2.get(offset, "write");
  if (entry.kind === "wait") return entry;
  if (l1.isOwned(index)) return { kind: "writable", entry, pin: l2.pin(entry) };
  const bytes = Uint8Array.from(entry.table.bytes);
  const drops = await writable.references.plan([], [clusterOf(geometry, offset)]);
  const copy = await addTable(metadata, writable, index, bytes);
  writable.references.commit(drops);
  writable.map.removeL2Table(offset);
  l2.drop(offset);
  return copy;
}

async function addTable(metadata: Metadata, { clusters, map }: WritableMetadata, index: number, bytes: Uint8Array): Promise<WritableL2> {
  const { file, l1, l2, geometry } = metadata;
  const { first } = await clusters.allocate(1);
  const offset = first * geometry.clusterSize;
  try {
    await file.event("l2_alloc_write");
    const entry = await l2.insert(offset, new TableBytes(bytes, true), { dirty: true });
    l1.set(index, offset);
    map.addL2Table(offset);
    return { kind: "writable", entry, pin: l2.pin(entry) };
  } catch (error) {
    await clusters.giveBack(first, 1);
    throw error;
  }
}
