/** One reading of all metadata: who owns which cluster, and what cannot be. */

import { offsetOf } from "../format/entries.ts";
import { MAX_L1_BYTES } from "../format/limits.ts";
import { type Bitmap, BITMAP_IN_USE } from "../format/bitmap-directory.ts";
import type { Snapshot, SnapshotTable } from "../format/snapshot-table.ts";
import type { ImageHeader } from "../image/read-header.ts";
import type { CheckFile } from "./check-file.ts";
import type { CheckLog } from "./check-log.ts";
import { type Fragmentation, TableWalk } from "./check-tables.ts";
import { ReferenceCounts } from "./reference-counts.ts";
import type { RefcountTable } from "./refcount-table.ts";

/** Everything that the header leads to, but for the guest's tables. */
export interface Inventory {
  readonly image: ImageHeader;
  readonly snapshots: SnapshotTable;
  readonly bitmaps: readonly Bitmap[];
}

export interface Survey {
  readonly log: CheckLog;
  readonly counts: ReferenceCounts;
  readonly fragmentation: Fragmentation;
  readonly sharing: boolean;
  readonly mendable: ReadonlySet<number>;
}

export interface SurveyOptions {
  readonly log: CheckLog;
  /** See `TableWalk`. */
  readonly mended: ReadonlySet<number>;
  /** Counted as owned by the header and the table; absent: they are about to be given up. */
  readonly refcountTable: RefcountTable | undefined;
}

/** Findings in qemu-img's order. */
export async function survey(file: CheckFile, inventory: Inventory, { log, mended, refcountTable }: SurveyOptions): Promise<Survey> {
  const { header, extensions } = inventory.image;
  const { geometry } = file;
  const counts = new ReferenceCounts(geometry, file.size, log);
  const walk = new TableWalk(file, counts, log, mended);
  const fragmentation: Fragmentation = { allocated: 0, fragmented: 0, compressed: 0 };
  counts.add(0, geometry.clusterSize);
  await walk.l1(header.l1Offset, header.l1Entries, fragmentation);
  for (const snapshot of inventory.snapshots.snapshots) {
    const problem = snapshotProblem(snapshot, geometry.clusterSize);
    if (problem === undefined) await walk.l1(snapshot.l1Offset, snapshot.l1Entries);
    else
      log.damaged(
        `ERROR snapshot ${snapshot.id} (${snapshot.name}) ${problem}; snapshot table entry corrupted`,
        snapshot.l1Offset,
        "snapshotL1",
      );
  }
  counts.add(header.snapshotsOffset, inventory.snapshots.length);
  if (refcountTable !== undefined) counts.add(refcountTable.offset, refcountTable.length);
  if (extensions.encryption !== undefined) counts.add(extensions.encryption.offset, extensions.encryption.length);
  if (extensions.bitmaps !== undefined && inventory.bitmaps.length === 0)
    log.noted(
      "Note: bitmaps are not marked as consistent: they are ignored, and their space is leaked",
      extensions.bitmaps.directoryOffset,
      "bitmapsIgnored",
    );
  if (extensions.bitmaps !== undefined && inventory.bitmaps.length > 0) {
    counts.add(extensions.bitmaps.directoryOffset, extensions.bitmaps.directoryLength);
    for (const bitmap of inventory.bitmaps) await countBitmap(file, counts, log, bitmap);
  }
  refcountTable?.countBlocks(counts, log);
  return { log, counts, fragmentation, sharing: walk.sharing, mendable: walk.mendable };
}

/** Why the L1 table of a snapshot is not looked at, in qemu-img's words. */
export function snapshotProblem({ l1Offset, l1Entries }: Snapshot, clusterSize: number): string | undefined {
  if (l1Offset % clusterSize !== 0) return `l1_offset=0x${l1Offset.toString(16)}: L1 table is not cluster aligned`;
  return l1Entries * 8 > MAX_L1_BYTES ? `l1_size=0x${l1Entries.toString(16)}: L1 table is too large` : undefined;
}

async function countBitmap(
  file: CheckFile,
  counts: ReferenceCounts,
  log: CheckLog,
  { name, flags, tableOffset, tableEntries }: Bitmap,
): Promise<void> {
  const { clusterSize } = file.geometry;
  if ((flags & BITMAP_IN_USE) !== 0)
    log.noted(`Note: bitmap '${name}' is inconsistent: it was in use and not saved`, tableOffset, "bitmapInUse");
  counts.add(tableOffset, tableEntries * 8);
  if (!file.holds(tableOffset)) return;
  const table = await file.readTable(tableOffset, Math.min(tableEntries * 8, file.size - tableOffset));
  for (let at = 0; at + 8 <= table.byteLength; at += 8) {
    const offset = offsetOf(table.getUint32(at), table.getUint32(at + 4));
    const reserved = table.getUint32(at) >= 2 ** 24 || table.getUint32(at + 4) % 512 > (offset === 0 ? 1 : 0);
    if (reserved || offset % clusterSize !== 0)
      log.damaged(`ERROR bitmap '${name}': entry ${at / 8} of its table is corrupted`, tableOffset + at, "bitmapEntry");
    else if (offset !== 0) counts.add(offset, clusterSize);
  }
}
