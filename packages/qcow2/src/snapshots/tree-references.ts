/** References of a whole tree of tables: one more for each, taken back again, or given up; and the flags that follow from them. */

import { clusterOf } from "../format/geometry.ts";
import { entriesIn, hostOffsetAt, type L2Place } from "../metadata/l2-entry.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import type { ImageFile } from "../metadata/image-file.ts";
import type { FreedBy } from "../metadata/freed-space.ts";
import type { ClusterRun } from "../metadata/free-runs.ts";
import { kindAt } from "../metadata/owned-space.ts";
import { hasCluster, setCopied, TableTree } from "./table-tree.ts";

/** Another owner for all that a tree leads to. */
export class TreeReferences {
  readonly #tree: TableTree;
  readonly #file: ImageFile;
  readonly #writable: WritableMetadata;
  /** In the order of the walk. */
  #raised = 0;

  constructor({ file }: Metadata, writable: WritableMetadata, tree: TableTree) {
    this.#tree = tree;
    this.#file = file;
    this.#writable = writable;
  }

  async raise(): Promise<void> {
    const { refcounts } = this.#writable;
    const { max, bits } = refcounts.codec;
    for await (const { references } of this.#tree.branches()) {
      await refcounts.update(references, (count, cluster) => {
        if (count >= max) throw this.#file.tooManyReferences(cluster, bits);
        this.#raised++;
        return count + 1;
      });
    }
  }

  /** Lowers what was raised: nothing on disk has come to rely on it. */
  async undo(): Promise<void> {
    if (this.#raised === 0) return;
    for await (const { references } of this.#tree.branches()) {
      const raised = references.slice(0, this.#raised);
      this.#raised -= raised.length;
      await this.#writable.refcounts.update(raised, (count) => count - 1);
      if (this.#raised === 0) return;
    }
  }
}

/** Gives up a tree that nothing on disk leads to any more: the last reference of a cluster is retired, any other lowered at once. */
export async function dropTree({ l2, geometry }: Metadata, writable: WritableMetadata, tree: TableTree, by: FreedBy): Promise<void> {
  const { refcounts, references } = writable;
  for await (const branch of tree.branches()) {
    const owned: ClusterRun[] = [];
    await refcounts.update(branch.references, (count, cluster) => {
      if (count > 1) return count - 1;
      if (cluster === clusterOf(geometry, branch.offset)) l2.dropTable(branch.offset);
      owned.push({ first: cluster, count: 1 });
      return count;
    });
    references.commit({ owned: joined(owned), shared: new Map() }, by);
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
  for await (const { l1Index, offset, slice, place } of new TableTree(metadata, l1).branches()) {
    using _pin = l2.slices.pin(slice);
    const indices: number[] = [];
    for (let index = 0; index < entriesIn(place); index++) if (hasCluster(kindAt(place, index).kind)) indices.push(index);
    const clusters = indices.map((index) => clusterOf(geometry, hostOffsetAt(place, index)));
    const counts: number[] = [];
    await refcounts.update(clusters, (count) => {
      counts.push(count);
      return count;
    });
    let changed = false;
    for (const [at, index] of indices.entries()) changed = setCopied(slice.table, wordOf(place, index), counts[at] === 1) || changed;
    if (changed) l2.slices.markDirty(slice);
    setCopied(l1.table, l1Index, (await refcounts.get(clusterOf(geometry, offset))) === 1);
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
