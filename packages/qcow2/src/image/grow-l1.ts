/** A longer L1 table. */

import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { NewTables } from "../metadata/new-tables.ts";
import { orUndo } from "../metadata/undo.ts";

/** In exclusive mode: the new table is on disk before the header points to it, and the old one is given up; where it fails, all is as before. */
export async function growL1(metadata: Metadata, writable: WritableMetadata, entries: number): Promise<void> {
  const { l1, file, geometry } = metadata;
  await writable.writeOut.all();
  const bytes = new Uint8Array(entries * 8);
  bytes.set(l1.table.bytes);
  const tables = new NewTables(metadata, writable);
  const prepare = async (): Promise<number> => {
    await file.event("l1_grow_alloc_table");
    const offset = await tables.allocate(bytes.length);
    await file.event("l1_grow_write_table");
    await tables.write(offset, bytes);
    await writable.writeOut.refcounts();
    await file.flush();
    await file.event("l1_grow_activate_table");
    return offset;
  };
  const offset = await orUndo(prepare, [() => tables.giveBack()]);
  await file.switchL1(entries, offset);
  const oldOffset = l1.offset;
  const oldLength = l1.table.bytes.length;
  l1.replace(bytes, offset);
  writable.map.place("active L1 table", offset, bytes.length);
  const whole = Math.ceil(oldLength / geometry.clusterSize) * geometry.clusterSize;
  writable.freed.retire(oldOffset, whole, "other");
}
