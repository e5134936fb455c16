/** A longer L1 table. */

import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";

/** In exclusive mode: the new table is on disk before the header points to it, and the old one is given up. */
export async function growL1(metadata: Metadata, writable: WritableMetadata, entries: number): Promise<void> {
  const { l1, file, geometry } = metadata;
  await writable.writeOut.all();
  const bytes = new Uint8Array(entries * 8);
  bytes.set(l1.table.bytes);
  await file.event("l1_grow_alloc_table");
  const offset = (await writable.clusters.allocateContiguous(Math.ceil(bytes.length / geometry.clusterSize))) * geometry.clusterSize;
  await file.event("l1_grow_write_table");
  await file.write(offset, bytes);
  await writable.writeOut.refcounts();
  await file.flush();
  await file.event("l1_grow_activate_table");
  await file.switchL1(entries, offset);
  const oldOffset = l1.offset;
  const oldLength = l1.table.bytes.length;
  l1.replace(bytes, offset);
  writable.map.place("active L1 table", offset, bytes.length);
  const whole = Math.ceil(oldLength / geometry.clusterSize) * geometry.clusterSize;
  writable.freed.retire(oldOffset, whole, "other");
}
