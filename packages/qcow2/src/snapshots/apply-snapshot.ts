/** Makes the disk what it was: another copy of the snapshot's L1 table becomes the active one. */

import { BlockError } from "@coblock/core";
import { clustersFor, l1EntriesFor } from "../format/geometry.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import { L1Table } from "../metadata/l1-table.ts";
import { NewTables } from "../metadata/new-tables.ts";
import { checkSnapshotL1, readSnapshotL1, sizeOf } from "./snapshot-l1.ts";
import type { SnapshotChange } from "./snapshots.ts";
import { TableTree } from "./table-tree.ts";
import { clearCopied, dropTree, TreeReferences } from "./tree-references.ts";
import { orUndo } from "../metadata/undo.ts";

/**
 * The refcounts rise, then one write of the header switches size and L1 table, then the old tree is given up: a crash leaves the old disk
 * or the new one, and leaks at the most. All of the new tree has two owners at least, so no entry of it may say COPIED.
 */
export async function applySnapshot(change: SnapshotChange, snapshot: Snapshot): Promise<void> {
  const { owner, metadata, writable } = change;
  const { file, geometry, l1 } = metadata;
  const { context, description } = owner;
  const size = sizeOf(snapshot, owner.size);
  if (geometry.version === 2 && size !== owner.size)
    throw new BlockError(
      "UNSUPPORTED_FEATURE",
      `${context.fileName}: a version 2 image with snapshots cannot be resized to ${size} bytes`,
      {
        node: context.nodeName,
      },
    );
  checkSnapshotL1(snapshot, geometry, size, context.fileName);
  const tree = new TableTree(metadata, await readSnapshotL1(metadata, snapshot));
  await tree.expectCounted(writable.refcounts, 1);
  const tables = new NewTables(metadata, writable);
  const references = new TreeReferences(metadata, writable, tree);
  const bytes = new Uint8Array(Math.max(snapshot.l1Entries, l1EntriesFor(geometry, size), 1) * 8);
  const prepare = async (): Promise<number> => {
    const l1Offset = await tables.allocate(bytes.length);
    await references.raise();
    await clearCopied(metadata, tree);
    bytes.set(tree.l1.table.bytes);
    await tables.write(l1Offset, bytes);
    await writable.writeOut.all();
    await file.flush();
    return l1Offset;
  };
  const l1Offset = await orUndo(prepare, [() => references.undo(), () => tables.giveBack()]);
  const { cryptMethod } = description.header;
  await file.switchDisk({ size, cryptMethod, l1Entries: bytes.length / 8, l1Offset });
  const old = new TableTree(metadata, new L1Table(file, geometry, l1.table.bytes, l1.offset));
  takeOver(change, bytes, l1Offset);
  owner.changed(description, size);
  await dropTree(metadata, writable, old, "snapshot");
  const oldLength = clustersFor(geometry, old.l1.entries * 8) * geometry.clusterSize;
  writable.freed.retire(old.l1.offset, oldLength, "snapshot");
  await writable.writeOut.all();
  await file.flush();
}

/** The tables in memory are the new ones. */
function takeOver({ metadata: { l1 }, writable: { map } }: SnapshotChange, bytes: Uint8Array, offset: number): void {
  for (const l2Offset of l2Offsets(l1)) map.removeL2Table(l2Offset);
  l1.replace(bytes, offset);
  map.place("active L1 table", offset, bytes.length);
  for (const l2Offset of l2Offsets(l1)) map.addL2Table(l2Offset);
}

function* l2Offsets(l1: L1Table): Generator<number> {
  for (let index = 0; index < l1.entries; index++) {
    const offset = l1.l2Offset(index);
    if (offset !== 0) yield offset;
  }
}
