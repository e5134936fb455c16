/** Another list of snapshots: written whole to new space, then switched to in one write of the header. */

import { BlockError } from "@coblock/core";
import { clustersFor } from "../format/geometry.ts";
import { MAX_SNAPSHOT_TABLE_BYTES } from "../format/limits.ts";
import { encodeSnapshotTable, type Snapshot } from "../format/snapshot-table.ts";
import { inactiveL1Tables } from "../metadata/open-metadata.ts";
import type { NewTables } from "../metadata/new-tables.ts";
import { addTables, inactiveL2Clusters } from "./inactive-tables.ts";
import type { SnapshotChange } from "./snapshots.ts";

/** A table that is written, and that the header does not know of. */
export interface WrittenList {
  readonly snapshots: readonly Snapshot[];
  /** Clusters of the L2 tables that all of them lead to, as far as overlaps with these are checked. */
  readonly inactiveL2: ReadonlySet<number>;
  /** 0 where there is none, as there are no snapshots. */
  readonly offset: number;
  readonly length: number;
}

/** A snapshot that is new has the tables that are active. Throws INVALID_OPTION where the table would be too long. */
export async function writeList(
  { owner, metadata, writable }: SnapshotChange,
  tables: NewTables,
  snapshots: readonly Snapshot[],
): Promise<WrittenList> {
  const known = snapshots.filter((snapshot) => owner.description.snapshots.includes(snapshot));
  const { checked } = writable.map;
  const inactiveL2 = new Set(await inactiveL2Clusters(metadata, known, checked));
  if (known.length < snapshots.length && checked.has("inactive L2 table")) addTables(inactiveL2, metadata, metadata.l1);
  if (snapshots.length === 0) return { snapshots, inactiveL2, offset: 0, length: 0 };
  const bytes = encodeSnapshotTable(snapshots, owner.size);
  if (bytes.length > MAX_SNAPSHOT_TABLE_BYTES)
    throw new BlockError("INVALID_OPTION", `the snapshot table would be ${bytes.length} bytes long, more than ${MAX_SNAPSHOT_TABLE_BYTES}`);
  const offset = await tables.allocate(bytes.length);
  await tables.write(offset, bytes);
  return { snapshots, inactiveL2, offset, length: bytes.length };
}

/** To be called when all that the list leads to is on stable storage. Where it fails, nobody knows which list the disk has. */
export async function switchList(change: SnapshotChange, { snapshots, inactiveL2, offset, length }: WrittenList): Promise<void> {
  const { owner, metadata, writable } = change;
  const { description } = owner;
  await metadata.file.switchSnapshots(snapshots.length, offset);
  const { snapshotsOffset } = description.header;
  const oldLength = clustersFor(metadata.geometry, description.snapshotTableLength) * metadata.geometry.clusterSize;
  writable.freed.retire(snapshotsOffset, oldLength, "snapshot");
  writable.map.place("snapshot table", offset, length);
  writable.map.placeInactiveL1(inactiveL1Tables(snapshots));
  writable.map.placeInactiveL2(inactiveL2);
  const header = { ...description.header, snapshotCount: snapshots.length, snapshotsOffset: offset };
  owner.changed({ ...description, header, snapshots, snapshotTableLength: length }, owner.size);
}
