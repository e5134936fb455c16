/** Takes a snapshot out of the list, and gives up what it alone has. */

import { clustersFor } from "../format/geometry.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import { NewTables } from "../metadata/new-tables.ts";
import { checkSnapshotL1, readSnapshotL1 } from "./snapshot-l1.ts";
import { switchList, writeList } from "./snapshot-list.ts";
import type { SnapshotChange } from "./snapshots.ts";
import { TableTree } from "./table-tree.ts";
import { dropTree, restoreCopied } from "./tree-references.ts";
import { orUndo } from "../metadata/undo.ts";

/**
 * The header points to the new list before any refcount falls, and COPIED comes back when they have fallen: a crash leaves leaks, or
 * clusters that are copied without need. A snapshot whose tables cannot be counted is refused before anything is changed.
 */
export async function deleteSnapshot(change: SnapshotChange, snapshot: Snapshot): Promise<void> {
  const { owner, metadata, writable } = change;
  const { file, geometry } = metadata;
  checkSnapshotL1(snapshot, geometry, 0, owner.context.fileName);
  const tree = new TableTree(metadata, await readSnapshotL1(metadata, snapshot));
  await tree.expectCounted(writable.refcounts, 0);
  const tables = new NewTables(metadata, writable);
  const prepare = async () => {
    const list = await writeList(
      change,
      tables,
      owner.description.snapshots.filter((each) => each !== snapshot),
    );
    await writable.writeOut.all();
    await file.flush();
    return list;
  };
  await switchList(change, await orUndo(prepare, [() => tables.giveBack()]));
  await dropTree(metadata, writable, tree, "snapshot");
  const l1Length = clustersFor(geometry, snapshot.l1Entries * 8) * geometry.clusterSize;
  writable.freed.retire(snapshot.l1Offset, l1Length, "snapshot");
  await restoreCopied(metadata, writable);
  await writable.writeOut.all();
  await file.flush();
}
