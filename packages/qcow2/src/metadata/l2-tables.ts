/** The L2 tables in memory, in slices: parts of a table that are loaded, kept and written as one. */

import type { CachedTable, Intent, TableCache, TableCacheStatistics, Wait } from "@coblock/core";
import type { Geometry } from "../format/geometry.ts";
import { TableBytes } from "./table-bytes.ts";

/** How much of the L2 tables is kept. */
export interface SliceSizes {
  /** Bytes of one slice: a power of two, at most a cluster. */
  readonly sliceSize: number;
  /** Slices. */
  readonly sliceCount: number;
}

/** Makes an empty cache of slices. */
export type SliceCacheMaker = (sizes: SliceSizes) => TableCache<TableBytes>;

/** Used under the driver lock alone. `tableOffset` is where a table lies in the file, `index` one of its entries. */
export class L2Tables {
  readonly #geometry: Geometry;
  readonly #makeCache: SliceCacheMaker;
  #slices: TableCache<TableBytes>;
  #sliceSize: number;
  #sliceEntries: number;

  constructor(geometry: Geometry, makeCache: SliceCacheMaker, sizes: SliceSizes) {
    this.#geometry = geometry;
    this.#makeCache = makeCache;
    this.#slices = makeCache(sizes);
    this.#sliceSize = sizes.sliceSize;
    this.#sliceEntries = sizes.sliceSize / geometry.l2EntrySize;
  }

  /** The slices that are in memory, by their offsets in the file. */
  get slices(): TableCache<TableBytes> {
    return this.#slices;
  }

  /** Entries of one slice. */
  get sliceEntries(): number {
    return this.#sliceEntries;
  }

  get statistics(): TableCacheStatistics {
    return this.#slices.statistics;
  }

  /** The slice with the entry, or what to await without the lock before asking anew. */
  get(tableOffset: number, index: number, intent: Intent): CachedTable<TableBytes> | Wait {
    return this.#slices.get(this.#sliceOffset(tableOffset, index), intent);
  }

  /** The slice with the entry, if it is in memory. */
  find(tableOffset: number, index: number): CachedTable<TableBytes> | undefined {
    return this.#slices.find(this.#sliceOffset(tableOffset, index));
  }

  /** The slice with the entry, loaded if need be, for a caller that keeps the lock all the while. */
  fetch(tableOffset: number, index: number): Promise<CachedTable<TableBytes>> {
    return this.#slices.fetch(this.#sliceOffset(tableOffset, index));
  }

  /** A copy of the whole table, loaded if need be. */
  async copyTable(tableOffset: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(this.#geometry.clusterSize);
    for (let at = 0; at < bytes.length; at += this.#sliceSize) bytes.set((await this.#slices.fetch(tableOffset + at)).table.bytes, at);
    return bytes;
  }

  /** Adds a whole table, none of which is on disk yet; on failure nothing of it. Answers the slice with the entry. */
  async insertTable(tableOffset: number, bytes: Uint8Array, index: number): Promise<CachedTable<TableBytes>> {
    const wanted = this.#sliceOffset(tableOffset, index);
    try {
      for (let at = 0; at < bytes.length; at += this.#sliceSize)
        if (tableOffset + at !== wanted) await this.#insert(tableOffset + at, bytes.slice(at, at + this.#sliceSize));
      return await this.#insert(wanted, bytes.slice(wanted - tableOffset, wanted - tableOffset + this.#sliceSize));
    } catch (error) {
      this.dropTable(tableOffset);
      throw error;
    }
  }

  /** The table was freed: forgets its slices, dirty or not. None may be pinned. */
  dropTable(tableOffset: number): void {
    for (let at = 0; at < this.#geometry.clusterSize; at += this.#sliceSize) this.#slices.drop(tableOffset + at);
  }

  /** Keeps as much as `sizes` says from now on. All slices must be clean, and none pinned, where slices change their size. */
  resize(sizes: SliceSizes): void {
    if (sizes.sliceSize === this.#sliceSize) return this.#slices.setCapacity(sizes.sliceCount);
    this.#slices.clear();
    this.#slices = this.#makeCache(sizes);
    this.#sliceSize = sizes.sliceSize;
    this.#sliceEntries = sizes.sliceSize / this.#geometry.l2EntrySize;
  }

  #insert(offset: number, bytes: Uint8Array): Promise<CachedTable<TableBytes>> {
    return this.#slices.insert(offset, new TableBytes(bytes, true), { dirty: true });
  }

  #sliceOffset(tableOffset: number, index: number): number {
    const at = index * this.#geometry.l2EntrySize;
    return tableOffset + at - (at % this.#sliceSize);
  }
}
