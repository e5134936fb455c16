/** The end of the image file that nothing uses: refcount blocks that count themselves alone go, and what is then behind the last cluster. */

import { BlockError } from "@coblock/core";
import type { Metadata, WritableMetadata } from "./metadata.ts";

/** In exclusive mode, under the driver lock, when all that was freed is released. A file that cannot be cut stays as long as it is. */
export async function cutUnusedEnd(metadata: Metadata, writable: WritableMetadata): Promise<void> {
  const { file, geometry } = metadata;
  await dropEmptyBlocks(metadata, writable);
  await writable.writeOut.all();
  await file.flush();
  const length = (await lastUsed(writable)) * geometry.clusterSize + geometry.clusterSize;
  if (!file.child.growable || length >= file.size) return;
  try {
    await file.child.resize(length);
  } catch (error) {
    if (!(error instanceof BlockError && error.code === "UNSUPPORTED_FEATURE")) throw error;
  }
}

/** A block in the range that it counts, with no other cluster in use there, or one that counts nothing at all. */
async function dropEmptyBlocks({ geometry, file }: Metadata, writable: WritableMetadata): Promise<void> {
  const { refcounts, references, clusters } = writable;
  const { refcountsPerBlock } = geometry;
  /** Clusters of blocks: counted by themselves, and by another block. */
  const uncounted: number[] = [];
  const counted: number[] = [];
  for (let tableIndex = refcounts.table.entries - 1; tableIndex >= 0; tableIndex--) {
    const block = await refcounts.block(tableIndex);
    if (block === undefined) continue;
    const own = block.offset / geometry.clusterSize;
    const place = refcounts.place(own);
    const used = refcounts.codec.findUsed(block.table.view, 0, refcountsPerBlock);
    const isItself = place.tableIndex === tableIndex && place.index === used;
    const next = isItself ? refcounts.codec.findUsed(block.table.view, used + 1, refcountsPerBlock) : used;
    if (next < refcountsPerBlock) continue;
    refcounts.dropBlock(tableIndex, block);
    (isItself ? uncounted : counted).push(own);
  }
  if (!refcounts.table.dirty) return;
  await writable.writeOut.refcounts();
  await file.flush();
  for (const cluster of uncounted) clusters.released(cluster, 1);
  for (const cluster of counted) await references.release(cluster, 1);
}

/** The last cluster with a reference. */
async function lastUsed({ refcounts }: WritableMetadata): Promise<number> {
  const { codec } = refcounts;
  for (let tableIndex = refcounts.table.entries - 1; tableIndex >= 0; tableIndex--) {
    const block = await refcounts.block(tableIndex);
    if (block === undefined) continue;
    const { first, count } = refcounts.clustersOf(tableIndex);
    for (let index = count - 1; index >= 0; index--) if (codec.get(block.table.view, index) !== 0) return first + index;
  }
  return 0;
}
