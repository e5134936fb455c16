/** Checks all metadata of an image: who owns which cluster, and whether the refcounts and flags say the same. Changes nothing. */

import { type BlockChild, BlockError, type CheckOptions, type CheckResult, type Clock, type Finding } from "@coblock/core";
import type { Bitmap } from "../format/bitmap-directory.ts";
import { clustersFor, geometryOf } from "../format/geometry.ts";
import { MAX_L1_BYTES } from "../format/limits.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import { offsetOf } from "../format/entries.ts";
import { readBitmaps, readHeader, readSnapshots } from "../image/read-header.ts";
import { CheckFile } from "./check-file.ts";
import { CheckLog } from "./check-log.ts";
import { CopiedFlags } from "./check-copied.ts";
import { RefcountComparison } from "./check-refcounts.ts";
import { type Fragmentation, TableWalk } from "./check-tables.ts";
import { ReferenceCounts } from "./reference-counts.ts";

export interface CheckParts {
  readonly file: BlockChild;
  readonly clock: Clock;
  /** Virtual size, bytes. */
  readonly size: number;
}

/** Findings in qemu-img's words and order. The header, snapshots and bitmaps are read anew: the image may have changed since it was opened. */
export async function checkImage(
  { file: child, clock, size }: CheckParts,
  options: CheckOptions,
  report: (finding: Finding) => void,
): Promise<CheckResult> {
  if (options.repair !== "none")
    throw new BlockError(
      "UNSUPPORTED_FEATURE",
      `${child.fileName}: qcow2 images cannot be repaired here; use qemu-img check -r ${options.repair}`,
      { node: child.node.name },
    );
  const image = await readHeader(child);
  const { header, extensions } = image;
  const geometry = geometryOf(header);
  const snapshots = await readSnapshots(child, header);
  const bitmaps = await readBitmaps(child, image);
  const file = new CheckFile(child, geometry, clock, options.signal);
  const log = new CheckLog(report);
  const counts = new ReferenceCounts(geometry, file.size, log);
  const walk = new TableWalk(file, counts, log);
  const fragmentation: Fragmentation = { allocated: 0, fragmented: 0, compressed: 0 };

  counts.add(0, geometry.clusterSize);
  await walk.l1(header.l1Offset, header.l1Entries, fragmentation);
  for (const snapshot of snapshots.snapshots) await countSnapshot(walk, log, geometry.clusterSize, snapshot);
  counts.add(header.snapshotsOffset, snapshots.length);
  counts.add(header.refcountTableOffset, header.refcountTableClusters * geometry.clusterSize);
  if (extensions.encryption !== undefined) counts.add(extensions.encryption.offset, extensions.encryption.length);
  if (extensions.bitmaps !== undefined && bitmaps.length > 0) {
    counts.add(extensions.bitmaps.directoryOffset, extensions.bitmaps.directoryLength);
    for (const bitmap of bitmaps) await countBitmap(file, counts, log, bitmap);
  }
  const refcounts = new RefcountComparison(
    file,
    counts,
    log,
    await readTable(file, header.refcountTableOffset, header.refcountTableClusters * geometry.clusterSize),
  );
  refcounts.countBlocks();
  await refcounts.compare();
  // Where all refcounts are right, none is above one, and every entry says that it is the only owner, no flag can be wrong.
  if (refcounts.differs || counts.shared || walk.sharing || geometry.externalData) {
    const flags = new CopiedFlags(file, refcounts, log);
    await flags.check(await readTable(file, header.l1Offset, header.l1Entries * 8), header.l1Offset);
  }
  return {
    errors: log.errors,
    corruptions: log.corruptions,
    leaks: log.leaks,
    corruptionsFixed: 0,
    leaksFixed: 0,
    imageEndOffset: (refcounts.highest + 1) * geometry.clusterSize,
    clusters: { total: clustersFor(geometry, size), ...fragmentation },
  };
}

async function countSnapshot(
  walk: TableWalk,
  log: CheckLog,
  clusterSize: number,
  { id, name, l1Offset, l1Entries }: Snapshot,
): Promise<void> {
  const corrupted = (problem: string): void =>
    log.damaged(`ERROR snapshot ${id} (${name}) ${problem}; snapshot table entry corrupted`, l1Offset);
  if (l1Offset % clusterSize !== 0) return corrupted(`l1_offset=0x${l1Offset.toString(16)}: L1 table is not cluster aligned`);
  if (l1Entries * 8 > MAX_L1_BYTES) return corrupted(`l1_size=0x${l1Entries.toString(16)}: L1 table is too large`);
  await walk.l1(l1Offset, l1Entries);
}

async function countBitmap(
  file: CheckFile,
  counts: ReferenceCounts,
  log: CheckLog,
  { name, tableOffset, tableEntries }: Bitmap,
): Promise<void> {
  const { clusterSize } = file.geometry;
  counts.add(tableOffset, tableEntries * 8);
  if (!file.holds(tableOffset)) return;
  const table = await readTable(file, tableOffset, Math.min(tableEntries * 8, file.size - tableOffset));
  for (let at = 0; at + 8 <= table.byteLength; at += 8) {
    const offset = offsetOf(table.getUint32(at), table.getUint32(at + 4));
    const reserved = table.getUint32(at) >= 2 ** 24 || table.getUint32(at + 4) % 512 > (offset === 0 ? 1 : 0);
    if (reserved || offset % clusterSize !== 0)
      log.damaged(`ERROR bitmap '${name}': entry ${at / 8} of its table is corrupted`, tableOffset + at);
    else if (offset !== 0) counts.add(offset, clusterSize);
  }
}

async function readTable(file: CheckFile, offset: number, length: number): Promise<DataView> {
  const bytes = new Uint8Array(length);
  await file.read(offset, bytes);
  return new DataView(bytes.buffer);
}
