/** References of a whole tree of tables: one more for each, taken back again, or given up; and the flags that follow from them. */

import { clusterOf } from "../format/geometry.ts";
import { entriesIn, hostOffsetAt, type L2Place } from "../metadata/l2-entry.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import type { ClusterRun } from "../metadata/free-runs.ts";
import { kindAt } from "../metadata/owned-space.ts";
import { hasCluster, setCopied, TableTree } from "./table-tree.ts";

/** Another owner for all that a tree leads to. */
export class TreeReferences {
  readonly #tree: TableTree;
  readonly #writable: WritableMetadata;
  /** In the order of the walk. */
  #raised = 0;

  constructor(tree: TableTree, writable: WritableMetadata) {
    this.#tree = tree;
    this.#writable = writable;
  }

  async raise(): Promise<void> {
    for await (const { references } of this.#tree.branches()) {
      for (const cluster of references) {
        await this.#writable.refcounts.raise(cluster);
        this.#raised++;
      }
    }
  }

  /** Lowers what was raised: nothing on disk has come to rely on it. */
  async undo(): Promise<void> {
    if (this.#raised === 0) return;
    for await (const { references } of this.#tree.branches()) {
      for (const cluster of references) {
        await this.#writable.refcounts.lower(cluster, 1);
        if (--this.#raised === 0) return;
      }
    }
  }
}

/** Gives up a tree that nothing on disk leads to any more: the last reference of a cluster is retired, any other lowered at once. */
export async function dropTree({ l2, geometry }: Metadata, writable: WritableMetadata, tree: TableTree): Promise<void> {
  const { refcounts, references } = writable;
  for await (const branch of tree.branches()) {
    const owned: ClusterRun[] = [];
    for (const cluster of branch.references) {
      if ((await refcounts.get(cluster)) > 1) {
        await refcounts.lower(cluster, 1);
        continue;
      }
      if (cluster === clusterOf(geometry, branch.offset)) l2.dropTable(branch.offset);
      owned.push({ first: cluster, count: 1 });
    }
    references.commit({ owned: joined(owned), shared: new Map() });
  }
}

/** COPIED is gone from the tree, in its L1 table too: all that it leads to is about to have another owner. */
export async function clearCopied({ l2 }: Metadata, tree: TableTree): Promise<void> {
  for await (const { l1Index, slice, place } of tree.branches()) {
    let changed = false;
    for (let index = 0; index < entriesIn(place); index++)
      if (hasCluster(kindAt(place, index).kind)) changed = setCopied(slice.table, wordOf(place, index), false) || changed;
    if (changed) l2.slices.markDirty(slice);
    setCopied(tree.l1.table, l1Index, false);
  }
}

/** COPIED says in the active tables what the refcounts say. The order of writes puts refcounts that fell on disk before the flag. */
export async function restoreCopied(metadata: Metadata, { refcounts }: WritableMetadata): Promise<void> {
  const { l1, l2, geometry } = metadata;
  const isOnly = async (cluster: number): Promise<boolean> => (await refcounts.get(cluster)) === 1;
  for await (const { l1Index, offset, slice, place } of new TableTree(metadata, l1).branches()) {
    using _pin = l2.slices.pin(slice);
    for (let index = 0; index < entriesIn(place); index++) {
      if (!hasCluster(kindAt(place, index).kind)) continue;
      const copied = await isOnly(clusterOf(geometry, hostOffsetAt(place, index)));
      if (setCopied(slice.table, wordOf(place, index), copied)) l2.slices.markDirty(slice);
    }
    setCopied(l1.table, l1Index, await isOnly(clusterOf(geometry, offset)));
  }
}

function wordOf({ geometry }: L2Place, index: number): number {
  return geometry.extendedL2 ? index * 2 : index;
}

/** Clusters in ascending order, or not; neighbours in a row become one run. */
function joined(runs: readonly ClusterRun[]): ClusterRun[] {
  const result: { first: number; count: number }[] = [];
  for (const { first, count } of runs) {
    const last = result[result.length - 1];
    if (last !== undefined && last.first + last.count === first) last.count += count;
    else result.push({ first, count });
  }
  return result;
}
