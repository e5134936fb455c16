/** The refcounts of host clusters: found through the refcount table, changed in memory, all or nothing. */

import { assert, BlockError, type CachedTable, hex, type TableCache } from "@coblock/core";
import { EMPTY, entryFor, entryText, hasReservedRefcountTableBits, isOffsetExact, offsetOf } from "../format/entries.ts";
import type { Geometry } from "../format/geometry.ts";
import { refcountCodec, type RefcountCodec } from "../format/refcounts.ts";
import { viewOf } from "../format/words.ts";
import type { ClusterRun } from "./free-runs.ts";
import type { ImageFile } from "./image-file.ts";
import type { MetadataMap } from "./metadata-map.ts";
import { TableBytes } from "./table-bytes.ts";

export interface RefcountStoreParts {
  readonly file: ImageFile;
  readonly geometry: Geometry;
  readonly map: MetadataMap;
  readonly blocks: TableCache<TableBytes>;
  readonly table: TableBytes;
  readonly tableOffset: number;
}

/** Used under the driver lock alone. */
export class RefcountStore {
  readonly codec: RefcountCodec;
  readonly blocks: TableCache<TableBytes>;
  readonly #file: ImageFile;
  readonly #geometry: Geometry;
  readonly #map: MetadataMap;
  #table: TableBytes;
  #tableOffset: number;

  constructor(parts: RefcountStoreParts) {
    this.codec = refcountCodec(parts.geometry.refcountBits);
    this.blocks = parts.blocks;
    this.#file = parts.file;
    this.#geometry = parts.geometry;
    this.#map = parts.map;
    this.#table = parts.table;
    this.#tableOffset = parts.tableOffset;
    this.#mapBlocks();
  }

  get table(): TableBytes {
    return this.#table;
  }

  /** Something in memory is not on disk. */
  get dirty(): boolean {
    return this.#table.dirty || this.blocks.dirtyEntries().length > 0;
  }

  get tableOffset(): number {
    return this.#tableOffset;
  }

  /** Takes over a larger table, which is on disk and in the header already. */
  replaceTable(table: TableBytes, offset: number): void {
    this.#table = table;
    this.#tableOffset = offset;
    this.#map.place("refcount table", offset, table.bytes.length);
    this.#mapBlocks();
  }

  /** Which block counts `cluster`, and at which of its places. */
  place(cluster: number): { readonly tableIndex: number; readonly index: number } {
    const { refcountsPerBlock } = this.#geometry;
    return { tableIndex: Math.floor(cluster / refcountsPerBlock), index: cluster % refcountsPerBlock };
  }

  /** The block; `undefined` where the table has none: its clusters are all free. Throws CORRUPT_IMAGE for a bad entry. */
  async block(tableIndex: number): Promise<CachedTable<TableBytes> | undefined> {
    const offset = this.#blockOffset(tableIndex);
    return offset === undefined ? undefined : this.blocks.fetch(offset);
  }

  /** The block, if it is in memory. Throws as `block`. */
  blockNow(tableIndex: number): CachedTable<TableBytes> | undefined {
    const offset = this.#blockOffset(tableIndex);
    if (offset === undefined || this.blocks.find(offset) === undefined) return undefined;
    const found = this.blocks.get(offset);
    return found.kind === "table" ? found : undefined;
  }

  #blockOffset(tableIndex: number): number | undefined {
    if (tableIndex >= this.#table.entries) return undefined;
    const high = this.#table.high(tableIndex);
    const low = this.#table.low(tableIndex);
    if (high === 0 && low === 0) return undefined;
    const offset = offsetOf(high, low);
    if (hasReservedRefcountTableBits(high, low) || !isOffsetExact(high) || offset % this.#geometry.clusterSize !== 0) {
      throw this.#file.corrupt(
        `refcount table entry ${tableIndex} is ${entryText(high, low)}, which is no place of a refcount block`,
        this.#tableOffset + tableIndex * 8,
      );
    }
    return offset;
  }

  /** The clusters that a block counts. */
  clustersOf(tableIndex: number): ClusterRun {
    const { refcountsPerBlock } = this.#geometry;
    return { first: tableIndex * refcountsPerBlock, count: refcountsPerBlock };
  }

  /** Refcount of one host cluster. */
  async get(cluster: number): Promise<number> {
    const { tableIndex, index } = this.place(cluster);
    const block = await this.block(tableIndex);
    return block === undefined ? 0 : this.codec.get(block.table.view, index);
  }

  /** Sets refcounts of one block from `index` on; the block is written later. */
  fill(block: CachedTable<TableBytes>, index: number, count: number, value: number): void {
    for (let at = index; at < index + count; at++) this.codec.set(block.table.view, at, value);
    const { bits } = this.codec;
    const from = Math.floor((index * bits) / 8);
    block.table.touch(from, Math.ceil(((index + count) * bits) / 8) - from);
    this.blocks.markDirty(block);
  }

  /**
   * Sets the refcount of each cluster in turn to what `change` answers, loading a block once for clusters that follow each other. What
   * `change` throws ends it there. It may set no other count than 0 where there is no block.
   */
  async update(clusters: readonly number[], change: (count: number, cluster: number) => number): Promise<void> {
    let block: CachedTable<TableBytes> | undefined;
    let loadedIndex = -1;
    for (const cluster of clusters) {
      const { tableIndex, index } = this.place(cluster);
      if (tableIndex !== loadedIndex) block = await this.block(tableIndex);
      loadedIndex = tableIndex;
      const count = block === undefined ? 0 : this.codec.get(block.table.view, index);
      const changed = change(count, cluster);
      if (changed === count) continue;
      assert(block !== undefined, "a cluster whose refcount changes has a refcount block");
      this.fill(block, index, 1, changed);
    }
  }

  /** One reference more. Throws OUT_OF_RANGE where the width has no room for it; then nothing is changed. */
  async raise(cluster: number): Promise<void> {
    const { tableIndex, index } = this.place(cluster);
    const block = await this.block(tableIndex);
    assert(block !== undefined, "a cluster that has an owner has a refcount block");
    const count = this.codec.get(block.table.view, index);
    if (count >= this.codec.max)
      throw new BlockError(
        "OUT_OF_RANGE",
        `cluster ${cluster} has ${count} references, and refcounts of ${this.codec.bits} bits hold no more`,
      );
    this.fill(block, index, 1, count + 1);
  }

  /**
   * `by` references fewer; answers how many are left. A count that is too low means that the metadata is damaged. One of 2^53 − 1 or
   * more stays as it is: what is left cannot be told, and the cluster is leaked.
   */
  async lower(cluster: number, by: number): Promise<number> {
    const { tableIndex, index } = this.place(cluster);
    const block = await this.block(tableIndex);
    const count = block === undefined ? 0 : this.codec.get(block.table.view, index);
    if (count === Number.MAX_SAFE_INTEGER) return count;
    if (block === undefined || count < by) {
      const offset = cluster * this.#geometry.clusterSize;
      return this.#file.failDamaged(
        this.#file.corrupt(`the cluster at offset ${hex(offset)} has refcount ${count}, which cannot be lowered by ${by}`, offset),
      );
    }
    this.fill(block, index, 1, count - by);
    return count - by;
  }

  /** Adds an empty block at `offset` for `tableIndex`, which has none; its own refcount is the caller's business. */
  async addBlock(tableIndex: number, offset: number): Promise<CachedTable<TableBytes>> {
    // Both before the block is in memory: between that and the table's entry for it nothing may fail.
    await this.#file.event("refblock_alloc_write");
    await this.#file.event("refblock_alloc_hookup");
    const block = await this.blocks.insert(offset, new TableBytes(new Uint8Array(this.#geometry.clusterSize), true), { dirty: true });
    this.adoptBlock(tableIndex, offset);
    return block;
  }

  /** Takes over a block that is on disk already. */
  adoptBlock(tableIndex: number, offset: number): void {
    this.#table.set(tableIndex, entryFor(offset, false));
    this.#map.addRefcountBlock(offset);
  }

  /** Gives up a block that counts no cluster but its own: all that it would count is free. */
  dropBlock(tableIndex: number, block: CachedTable<TableBytes>): void {
    this.#table.set(tableIndex, EMPTY);
    this.#map.removeRefcountBlock(block.offset);
    this.blocks.drop(block.offset);
  }

  /** Writes the dirty blocks. Nothing needs to be on disk before them: a count that is too high is a leak, and lower ones enter memory late. */
  async writeBlocks(): Promise<void> {
    for (const block of this.blocks.dirtyEntries()) {
      const kind = this.#map.find(block.offset, this.#geometry.clusterSize, "refcount block");
      if (kind !== undefined) {
        await this.#file.failDamaged(
          this.#file.corrupt(`a refcount block at offset ${hex(block.offset)} lies over the ${kind}`, block.offset),
        );
      }
      await this.#file.writeTable(block.table.fresh ? "refblock_update" : "refblock_update_part", block.offset, block.table);
      this.blocks.markClean(block);
    }
  }

  #mapBlocks(): void {
    for (let index = 0; index < this.#table.entries; index++) {
      const high = this.#table.high(index);
      const low = this.#table.low(index);
      if (high !== 0 || low !== 0) this.#map.addRefcountBlock(offsetOf(high, low));
    }
  }
}

/** Blocks for `tableIndices`, in which the clusters of `run` have one reference and all others none. */
export function buildBlocks(
  geometry: Geometry,
  tableIndices: readonly number[],
  run: { readonly first: number; readonly count: number },
): Uint8Array[] {
  const codec = refcountCodec(geometry.refcountBits);
  return tableIndices.map((tableIndex) => {
    const block = viewOf(new Uint8Array(geometry.clusterSize));
    const start = tableIndex * geometry.refcountsPerBlock;
    const from = Math.max(run.first, start);
    const to = Math.min(run.first + run.count, start + geometry.refcountsPerBlock);
    for (let cluster = from; cluster < to; cluster++) codec.set(block, cluster - start, 1);
    return new Uint8Array(block.buffer);
  });
}
