/** Refcounts of another width: a second set of blocks and their table, written whole beside the first, then switched to. */

import { BlockError, hex } from "@coblock/core";
import { entryFor, offsetOf } from "../format/entries.ts";
import type { Geometry } from "../format/geometry.ts";
import { MAX_REFCOUNT_TABLE_BYTES } from "../format/limits.ts";
import { refcountCodec, type RefcountCodec } from "../format/refcounts.ts";
import { viewOf } from "../format/words.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { TableBytes } from "../metadata/table-bytes.ts";
import { orUndo } from "../metadata/undo.ts";
import type { AmendProgress } from "./progress.ts";

export interface RefcountWidthParts {
  readonly metadata: Metadata;
  readonly writable: WritableMetadata;
  readonly progress: AmendProgress;
}

/**
 * Under the driver lock, with everything written out. The caller loads the metadata anew afterwards. A crash leaves one of the two sets,
 * complete, and the other one leaked. Throws INVALID_OPTION, before anything is changed, where a refcount needs more bits.
 */
export async function changeRefcountWidth(parts: RefcountWidthParts, bits: number): Promise<void> {
  const { metadata, writable } = parts;
  const codec = refcountCodec(bits);
  await expectFitting(writable, codec, metadata.geometry.clusterSize);
  const space = await reserve(parts, bits);
  const old = oldPlaces(writable, metadata.geometry);
  const tableOffset = space.first * metadata.geometry.clusterSize;
  const prepare = async (): Promise<void> => {
    await writeNewSet(parts, codec, space);
    // The old set stays right for as long as the header leads to it.
    await writable.writeOut.refcounts();
    await metadata.file.flush();
  };
  await orUndo(prepare, [() => writable.clusters.giveBack(space.first, space.tableClusters + space.blockIndices.length)]);
  await metadata.file.switchRefcountWidth(Math.log2(bits), tableOffset, space.tableClusters);
  for (const { offset, length } of old) writable.freed.retire(offset, length, "other");
}

/** Clusters in a row: the table, then the blocks. */
interface Space {
  readonly first: number;
  readonly tableClusters: number;
  /** Places in the new table. */
  readonly blockIndices: readonly number[];
}

/** Space that both sets count as used. What is reserved may itself need more blocks, until it is enough. */
async function reserve({ metadata, writable }: RefcountWidthParts, bits: number): Promise<Space> {
  const { clusterSize } = metadata.geometry;
  const perBlock = (clusterSize * 8) / bits;
  for (let spare = 0; ; spare++) {
    const before = await usedBlocks(writable, perBlock);
    const count = tableClustersFor(before, clusterSize) + before.length + spare;
    const first = await writable.clusters.allocateContiguous(count);
    const blockIndices = await usedBlocks(writable, perBlock);
    const tableClusters = tableClustersFor(blockIndices, clusterSize);
    const needed = tableClusters + blockIndices.length;
    if (needed <= count) {
      await writable.clusters.giveBack(first + needed, count - needed);
      return { first, tableClusters, blockIndices };
    }
    await writable.clusters.giveBack(first, count);
    spare += needed - count;
  }
}

/** Blocks, then the table that leads to them. */
async function writeNewSet({ metadata, writable, progress }: RefcountWidthParts, codec: RefcountCodec, space: Space): Promise<void> {
  const { file, geometry } = metadata;
  const { clusterSize } = geometry;
  const table = new TableBytes(new Uint8Array(space.tableClusters * clusterSize));
  const firstBlock = space.first + space.tableClusters;
  progress.expect(space.blockIndices.length);
  for (const [position, index] of space.blockIndices.entries()) {
    progress.step();
    const offset = (firstBlock + position) * clusterSize;
    await file.write(offset, await packBlock(writable, geometry, codec, index));
    table.set(index, entryFor(offset, false));
  }
  await file.write(space.first * clusterSize, table.bytes);
}

function tableClustersFor(blockIndices: readonly number[], clusterSize: number): number {
  const clusters = Math.ceil((((blockIndices.at(-1) ?? 0) + 1) * 8) / clusterSize);
  if (clusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES)
    throw new BlockError("INVALID_OPTION", `the refcount table would become larger than ${MAX_REFCOUNT_TABLE_BYTES} bytes`);
  return clusters;
}

async function expectFitting(writable: WritableMetadata, codec: RefcountCodec, clusterSize: number): Promise<void> {
  await forEachCount(writable, (cluster, count) => {
    if (count <= codec.max) return;
    const where = `Cluster at offset ${hex(cluster * clusterSize)} has a refcount of ${count}`;
    throw new BlockError("INVALID_OPTION", `Cannot decrease refcount entry width to ${codec.bits} bits: ${where}`);
  });
}

/** Which blocks of `perBlock` refcounts are not empty, in order. */
async function usedBlocks(writable: WritableMetadata, perBlock: number): Promise<number[]> {
  const indices: number[] = [];
  await forEachCount(writable, (cluster) => {
    const index = Math.floor(cluster / perBlock);
    if (indices[indices.length - 1] !== index) indices.push(index);
  });
  return indices;
}

/** All refcounts but zeros, in order. */
async function forEachCount({ refcounts }: WritableMetadata, use: (cluster: number, count: number) => void): Promise<void> {
  const { codec, table } = refcounts;
  for (let tableIndex = 0; tableIndex < table.entries; tableIndex++) {
    const block = await refcounts.block(tableIndex);
    if (block === undefined) continue;
    const { view } = block.table;
    const perBlock = (block.table.bytes.length * 8) / codec.bits;
    for (let at = codec.findUsed(view, 0, perBlock); at < perBlock; at = codec.findUsed(view, at + 1, perBlock))
      use(tableIndex * perBlock + at, codec.get(view, at));
  }
}

/** Block `blockIndex` of the new set. */
async function packBlock(
  { refcounts }: WritableMetadata,
  { clusterSize, refcountsPerBlock }: Geometry,
  codec: RefcountCodec,
  blockIndex: number,
): Promise<Uint8Array> {
  const packed = viewOf(new Uint8Array(clusterSize));
  const count = (clusterSize * 8) / codec.bits;
  const first = blockIndex * count;
  for (let done = 0; done < count;) {
    const { tableIndex, index } = refcounts.place(first + done);
    const length = Math.min(refcountsPerBlock - index, count - done);
    const block = await refcounts.block(tableIndex);
    for (let at = 0; block !== undefined && at < length; at++)
      codec.set(packed, done + at, refcounts.codec.get(block.table.view, index + at));
    done += length;
  }
  return new Uint8Array(packed.buffer);
}

/** The table and the blocks that will be left behind, before the new set takes clusters. */
function oldPlaces({ refcounts }: WritableMetadata, { clusterSize }: Geometry): { readonly offset: number; readonly length: number }[] {
  const { table, tableOffset } = refcounts;
  const places = [{ offset: tableOffset, length: table.bytes.length }];
  for (let index = 0; index < table.entries; index++) {
    const offset = offsetOf(table.high(index), table.low(index));
    if (offset !== 0) places.push({ offset, length: clusterSize });
  }
  return places;
}
