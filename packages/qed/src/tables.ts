/** The tables of an image: what is looked up in them, where the file ends, and the order in which changes reach the disk. */

import {
  assert,
  type BlockChild,
  BlockError,
  type BlockEvent,
  type CoMutex,
  hex,
  type Intent,
  type Mapping,
  type MaybePromise,
  TableCache,
  type TableCacheStatistics,
  type Wait,
} from "@coblock/core";
import { type Geometry, UNALLOCATED, ZERO_CLUSTER } from "./geometry.ts";
import { SECTOR_SIZE } from "./header.ts";
import type { QedFile } from "./qed-file.ts";
import { type EntryRun, Table } from "./table.ts";

/** Slices kept in memory where the caller does not say: 12.5 MiB at the most. With the usual geometry they are tables, and map 100 GiB. */
const DEFAULT_CACHED_SLICES = 50;

/**
 * The state behind the driver lock. Tables are written through: memory changes when the disk has, and no table is ever dirty; what a write
 * that failed left there is asked of the disk. L2 tables are read and kept in slices, and of all tables only entries that the image can
 * use, so a header that promises tables of a gigabyte costs nothing.
 */
export class QedTables {
  readonly #child: BlockChild;
  readonly #geometry: Geometry;
  /** One table, which stays. */
  readonly #l1: TableCache<Table>;
  readonly #l2: TableCache<Table>;
  /** How many entries the image can use, of the L1 table and of a slice. */
  #l1Entries = 0;
  #sliceEntries = 0;
  /** Where the next cluster goes: the whole clusters of the file, and what was handed out since. */
  #fileEnd: number;

  private constructor(file: QedFile, lock: CoMutex, l2CacheSize: number | undefined) {
    const { child, geometry } = file;
    this.#child = child;
    this.#geometry = geometry;
    this.#fileEnd = geometry.wholeClusters(child.size);
    const capacity = l2CacheSize === undefined ? DEFAULT_CACHED_SLICES : Math.max(1, Math.floor(l2CacheSize / geometry.sliceLength));
    this.#l1 = new TableCache({ name: "QED L1 table", lock, capacity: 1, load: (offset) => this.#load(offset, this.#l1Entries) });
    this.#l2 = new TableCache({ name: "QED L2 tables", lock, capacity, load: (offset) => this.#loadSlice(offset) });
  }

  /** Of the L2 cache, for `graph.inspect()`. */
  get statistics(): TableCacheStatistics {
    return this.#l2.statistics;
  }

  /** `lock`: the driver lock. `l2CacheSize`: bytes; at least one slice is kept. */
  static async read(file: QedFile, lock: CoMutex, l2CacheSize: number | undefined): Promise<QedTables> {
    const tables = new QedTables(file, lock, l2CacheSize);
    using _held = await lock.lock();
    await tables.reload(file.header.imageSize);
    return tables;
  }

  /** Reads the tables anew: the image gets another size, or was repaired. */
  async reload(imageSize: number): Promise<void> {
    const { tableSpan, sliceLength, clusterSize, l1Offset } = this.#geometry;
    this.#l1Entries = Math.ceil(imageSize / tableSpan);
    this.#sliceEntries = Math.min(sliceLength / 8, Math.ceil(imageSize / clusterSize));
    this.#l1.clear();
    this.#l2.clear();
    await this.#l1.fetch(l1Offset);
  }

  /** Joins neighbours of one kind up to the end of a slice, and empty L1 entries. Throws `CORRUPT_IMAGE` for an entry that points nowhere. */
  lookup(offset: number, length: number, intent: Intent): Mapping | Wait {
    const { clusterSize, tableSpan, l1Offset } = this.#geometry;
    const { l1Index, sliceStart, index } = this.#geometry.addressOf(offset);
    const l1 = this.#l1.get(l1Offset);
    if (l1.kind === "wait") return l1;
    const tableOffset = this.#l2Offset(l1.table, l1Index);
    if (tableOffset === UNALLOCATED) return { kind: "unallocated", length: l1.table.runLength(tableSpan, l1Index, 0, offset, length) };
    const found = this.#l2.get(tableOffset + sliceStart, intent);
    if (found.kind === "wait") return found;
    const { table } = found;
    const first = table.entry(index);
    if (first === UNALLOCATED || first === ZERO_CLUSTER) {
      const kind = first === ZERO_CLUSTER ? "zero" : "unallocated";
      return { kind, length: table.runLength(clusterSize, index, 0, offset, length) };
    }
    const problem = this.#geometry.problemWith(first, 1, this.#fileEnd);
    if (problem !== undefined) {
      const entryStart = sliceStart + index * 8;
      throw this.#corrupt(`L2 entry ${entryStart / 8} (L1 entry ${l1Index})`, tableOffset + entryStart, problem, offset);
    }
    const childOffset = first + (offset % clusterSize);
    const run = table.runLength(clusterSize, index, clusterSize, offset, Math.min(length, this.#fileEnd - childOffset));
    return { kind: "data", length: run, child: this.#child, childOffset, writable: true };
  }

  /** Guest bytes from `offset` to the end of what its slice maps. */
  bytesLeftInSlice(offset: number): number {
    return this.#geometry.sliceSpan - (offset % this.#geometry.sliceSpan);
  }

  /**
   * Hands out clusters at the end of the file, which read as zeros, and never takes them back: what a failed write used is leaked.
   * Throws `NO_SPACE` where the file cannot grow.
   */
  async append(clusters: number): Promise<number> {
    await this.#child.event("cluster_alloc");
    const start = this.#fileEnd;
    const end = start + clusters * this.#geometry.clusterSize;
    if (!Number.isSafeInteger(end) || (!this.#child.growable && end > this.#child.size)) {
      throw new BlockError("NO_SPACE", `${this.#child.fileName} cannot grow to ${hex(end)}, where its next cluster would end`);
    }
    // Only the first time: bytes behind the last whole cluster belong to nobody, and must not show up in a new one after a power cut.
    if (start < this.#child.size) {
      await this.#child.writeZeroes(start, this.#child.size - start);
      await this.#child.flush();
    }
    this.#fileEnd = end;
    return start;
  }

  /** Makes the file reach to `end`: a cluster that it holds in part is no cluster of it. */
  async extendTo(end: number): Promise<void> {
    const start = Math.max(this.#child.size, end - SECTOR_SIZE);
    if (start < end) await this.#child.write(start, new Uint8Array(end - start));
  }

  /**
   * Maps guest clusters within one slice, in crash order: to the consecutive clusters from `first` on, or to the marker `ZERO_CLUSTER`.
   * They hold no data so far, and the data that they get is written.
   */
  async publish({ offset, length, first }: Readonly<Record<"offset" | "length" | "first", number>>): Promise<void> {
    const { clusterSize, l1Offset } = this.#geometry;
    const { l1Index, sliceStart, index } = this.#geometry.addressOf(offset);
    const run: EntryRun = { index, count: length / clusterSize, first, step: first === ZERO_CLUSTER ? 0 : clusterSize };
    const { table: l1 } = await this.#l1.fetch(l1Offset);
    const tableOffset = this.#l2Offset(l1, l1Index);
    if (tableOffset === UNALLOCATED) return this.#publishNewTable(l1Index, sliceStart, run);
    await this.#update(this.#l2, tableOffset + sliceStart, run, "l2_update");
  }

  /** The table must be on stable storage before the L1 entry that leads to it can be. Its other slices read as zeros: they were never written. */
  async #publishNewTable(l1Index: number, sliceStart: number, run: EntryRun): Promise<void> {
    const slice = new Table(this.#sliceEntries);
    slice.setRun(run);
    await this.#child.event("l2_alloc_write");
    const offset = await this.append(this.#geometry.tableClusters);
    await this.#child.event("l2_update");
    await this.#child.write(offset + sliceStart, slice.bytes);
    await this.extendTo(offset + this.#geometry.tableLength);
    await this.#child.flush();
    await this.#update(this.#l1, this.#geometry.l1Offset, { index: l1Index, count: 1, first: offset, step: 0 }, "l1_update");
    await this.#l2.insert(offset + sliceStart, slice);
  }

  /** The touched sectors go out from a copy; memory follows the disk. How much of a failed write is there is known to the disk alone: the next lookup asks it. */
  async #update(cache: TableCache<Table>, offset: number, run: EntryRun, event: BlockEvent): Promise<void> {
    const cached = await cache.fetch(offset);
    const { table } = cached;
    try {
      // A table whose write is in flight must stay the only one of its kind.
      using _pin = cache.pin(cached);
      for (let index = run.index; index < run.index + run.count; index++)
        assert(table.entry(index) <= ZERO_CLUSTER, `entry ${index} of the table at ${hex(offset)} leads somewhere already`);
      await this.#child.event(event);
      const sectors = table.sectorsWith(run);
      await this.#child.write(offset + sectors.offset, sectors.bytes);
      table.bytes.set(sectors.bytes, sectors.offset);
    } catch (error) {
      cache.drop(offset);
      throw error;
    }
  }

  #l2Offset(l1: Table, index: number): number {
    const offset = l1.entry(index);
    if (offset === UNALLOCATED) return offset;
    const { l1Offset, tableClusters, tableSpan } = this.#geometry;
    const problem = this.#geometry.problemWith(offset, tableClusters, this.#fileEnd);
    if (problem !== undefined) throw this.#corrupt(`L1 entry ${index}`, l1Offset + index * 8, problem, index * tableSpan);
    return offset;
  }

  #loadSlice(offset: number): MaybePromise<Table> {
    const load = (): MaybePromise<Table> => this.#load(offset, this.#sliceEntries);
    return this.#child.event("l2_load")?.then(load) ?? load();
  }

  #load(offset: number, entries: number): MaybePromise<Table> {
    const table = new Table(entries);
    return this.#child.read(offset, table.bytes)?.then(() => table) ?? table;
  }

  #corrupt(entry: string, at: number, problem: string, offset: number): BlockError {
    return new BlockError("CORRUPT_IMAGE", `${this.#child.fileName}: ${entry} at ${hex(at)} points to ${problem}`, { offset });
  }
}
