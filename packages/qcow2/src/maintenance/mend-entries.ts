/** Mends L2 entries that read as zeros and keep space where none can be: they keep the zeros alone. */

import { ZERO_LOW } from "../format/entries.ts";
import type { CheckFile } from "./check-file.ts";
import type { CheckLog } from "./check-log.ts";
import { isMendable, offsetHex } from "./check-tables.ts";
import type { TableOwners } from "./table-owners.ts";

/** Answers the offsets of the tables that were mended; what is in others stays, with a word. On stable storage when it returns. */
export async function mendEntries(
  file: CheckFile,
  tables: Iterable<number>,
  owners: TableOwners,
  log: CheckLog,
): Promise<ReadonlySet<number>> {
  const mended = new Set<number>();
  for (const offset of tables) {
    if (!owners.isL2Table(offset)) {
      log.kept(`L2 table at offset 0x${offset.toString(16)} stays as it is: something else leads there too`, offset);
      continue;
    }
    const table = await file.readTable(offset, file.geometry.clusterSize);
    mendTable(file, table, offset, log);
    await file.write(offset, new Uint8Array(table.buffer));
    mended.add(offset);
  }
  await file.flush();
  return mended;
}

function mendTable({ geometry }: CheckFile, table: DataView, offset: number, log: CheckLog): void {
  const { clusterSize, l2EntrySize, extendedL2 } = geometry;
  for (let at = 0; at < clusterSize; at += l2EntrySize) {
    if (!isMendable(geometry, table, at)) continue;
    const what = `offset=${offsetHex(table.getUint32(at), table.getUint32(at + 4))}: Preallocated cluster is not properly aligned; L2 entry corrupted.`;
    log.repairing(what, offset + at, "unalignedReserved");
    // With subclusters the second word says which of them are zeros; it stays.
    table.setUint32(at, 0);
    table.setUint32(at + 4, extendedL2 ? 0 : ZERO_LOW);
  }
}
