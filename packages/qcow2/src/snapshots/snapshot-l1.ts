/** The L1 table of a snapshot: checked before anything is read or allocated from what the snapshot table says of it. */

import { BlockError, hex } from "@coblock/core";
import { type Geometry, l1EntriesFor } from "../format/geometry.ts";
import { MAX_L1_BYTES } from "../format/limits.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import { L1Table } from "../metadata/l1-table.ts";
import type { Metadata } from "../metadata/metadata.ts";

const SECTOR = 512;

/** Virtual size of the disk in a snapshot, bytes: whole sectors. `diskSize`: for snapshots that do not tell theirs. */
export function sizeOf(snapshot: Snapshot, diskSize: number): number {
  const size = snapshot.diskSize ?? diskSize;
  return size - (size % SECTOR);
}

/** Throws CORRUPT_IMAGE for a table that cannot be, or that is too short for a disk of `size` bytes. */
export function checkSnapshotL1({ id, name, l1Offset, l1Entries }: Snapshot, geometry: Geometry, size: number, fileName: string): void {
  const corrupt = (problem: string): BlockError =>
    new BlockError("CORRUPT_IMAGE", `${fileName}: the L1 table of snapshot ${id} ('${name}') at offset ${hex(l1Offset)} ${problem}`, {
      offset: l1Offset,
    });
  if (l1Offset % geometry.clusterSize !== 0) throw corrupt(`is not aligned to clusters of ${geometry.clusterSize}`);
  if (l1Entries * 8 > MAX_L1_BYTES) throw corrupt(`has ${l1Entries} entries, more than ${MAX_L1_BYTES / 8}`);
  const needed = l1EntriesFor(geometry, size);
  if (l1Entries < needed) throw corrupt(`has ${l1Entries} entries, a disk of ${size} bytes needs ${needed}`);
}

/** Reads a table that was checked. */
export async function readSnapshotL1({ file, geometry }: Metadata, { id, l1Offset, l1Entries }: Snapshot): Promise<L1Table> {
  const what = `the L1 table of snapshot ${id}`;
  const bytes = l1Entries === 0 ? new Uint8Array(0) : await file.readTable(what, l1Offset, l1Entries * 8);
  return new L1Table(file, geometry, bytes, l1Offset);
}
