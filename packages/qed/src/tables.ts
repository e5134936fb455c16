/** The tables of an image: what is looked up in them, where the file ends, and the order in which changes reach the disk. */

import {
  assert,
  type BlockChild,
  BlockError,
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
  readonly #l2: TableCache<Table>;
  #l1: Table = new Table(0);
  #sliceEntries = 0;
  /** Where the next cluster goes: the whole clusters of the file, and what was handed out since. */
  #fileEnd: number;

  private constructor(file: QedFile, lock: CoMutex, l2CacheSize: number | undefined) {
    const { child, geometry } = file;
    this.#child = child;
    this.#geometry = geometry;
    this.#fileEnd = geometry.wholeClusters(child.size);
    const capacity = l2CacheSize === undefined ? DEFAULT_CACHED_SLICES : Math.max(1, Math.floor(l2CacheSize / geometry.sliceLength));
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

  /** Reads the tables anew: the image gets another size, or was repaired. If that fails, all stays as it was. */
  async reload(imageSize: number): Promise<void> {
    const { tableSpan, sliceLength, clusterSize, l1Offset } = this.#geometry;
    const l1 = new Table(Math.ceil(imageSize / tableSpan));
    await this.#child.read(l1Offset, l1.bytes);
    this.#l1 = l1;
    this.#sliceEntries = Math.min(sliceLength / 8, Math.ceil(imageSize / clusterSize));
    this.#l2.clear();
  }

  /** Joins neighbours of one kind up to the end of a slice, and empty L1 entries. Throws `CORRUPT_IMAGE` for an entry that points nowhere. */
  lookup(offset: number, length: number, intent: Intent): Mapping | Wait {
    const { clusterSize, sliceSpan } = this.#geometry;
    const { l1Index, sliceStart } = this.#geometry.addressOf(offset);
    const tableOffset = this.#l2Offset(l1Index);
    if (tableOffset === UNALLOCATED) return this.#lookupWithoutTable(l1Index, offset, length);
    const found = this.#l2.get(tableOffset + sliceStart, intent);
    if (found.kind === "wait") return found;
    const { table } = found;
    const index = Math.floor((offset % sliceSpan) / clusterSize);
    const inCluster = offset % clusterSize;
    const limit = Math.min(Math.ceil((inCluster + length) / clusterSize), table.entries - index);
    const first = table.entry(index);
    if (first === UNALLOCATED || first === ZERO_CLUSTER) {
      const run = table.runLength(index, limit, 0) * clusterSize - inCluster;
      return { kind: first === ZERO_CLUSTER ? "zero" : "unallocated", length: Math.min(length, run) };
    }
    const problem = this.#geometry.problemWith(first, 1, this.#fileEnd);
    if (problem !== undefined) {
      const entryStart = sliceStart + index * 8;
      throw this.#corrupt(`L2 entry ${entryStart / 8} (L1 entry ${l1Index})`, tableOffset + entryStart, problem, offset);
    }
    const run = table.runLength(index, Math.min(limit, (this.#fileEnd - first) / clusterSize), clusterSize) * clusterSize - inCluster;
    return { kind: "data", length: Math.min(length, run), child: this.#child, childOffset: first + inCluster, writable: true };
  }

  #lookupWithoutTable(l1Index: number, offset: number, length: number): Mapping {
    const { tableSpan } = this.#geometry;
    const inTable = offset % tableSpan;
    const limit = Math.min(Math.ceil((inTable + length) / tableSpan), this.#l1.entries - l1Index);
    return { kind: "unallocated", length: Math.min(length, this.#l1.runLength(l1Index, limit, 0) * tableSpan - inTable) };
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
    const { sliceSpan, clusterSize } = this.#geometry;
    const { l1Index, sliceStart } = this.#geometry.addressOf(offset);
    const index = (offset % sliceSpan) / clusterSize;
    const run: EntryRun = { index, count: length / clusterSize, first, step: first === ZERO_CLUSTER ? 0 : clusterSize };
    const tableOffset = this.#l2Offset(l1Index);
    if (tableOffset === UNALLOCATED) return this.#publishNewTable(l1Index, sliceStart, run);
    const sliceOffset = tableOffset + sliceStart;
    const cached = await this.#l2.fetch(sliceOffset);
    try {
      // A slice whose write is in flight must stay the only one of its kind.
      using _pin = this.#l2.pin(cached);
      await this.#child.event("l2_update");
      await this.#writeRun(sliceOffset, cached.table, run);
    } catch (error) {
      // How much of it was written is known to the disk alone: the next lookup asks it.
      this.#l2.drop(sliceOffset);
      throw error;
    }
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
    await this.#child.event("l1_update");
    await this.#writeL1Entry(l1Index, offset);
    await this.#l2.insert(offset + sliceStart, slice);
  }

  /** Where that fails, memory takes over what the disk has. */
  async #writeL1Entry(index: number, tableOffset: number): Promise<void> {
    try {
      await this.#writeRun(this.#geometry.l1Offset, this.#l1, { index, count: 1, first: tableOffset, step: 0 });
    } catch (error) {
      await this.#rereadL1(error);
      throw error;
    }
  }

  async #rereadL1(cause: unknown): Promise<void> {
    const { l1Offset } = this.#geometry;
    const onDisk = new Table(this.#l1.entries);
    try {
      await this.#child.read(l1Offset, onDisk.bytes);
    } catch (error) {
      const message = `${this.#child.fileName}: the L1 table can be neither written nor read: ${String(cause)}; ${String(error)}`;
      throw new BlockError("IO", message, { offset: l1Offset, cause: error });
    }
    this.#l1 = onDisk;
  }

  /** The touched sectors go out from a copy; memory follows the disk. */
  async #writeRun(tableOffset: number, table: Table, run: EntryRun): Promise<void> {
    for (let index = run.index; index < run.index + run.count; index++) {
      assert(table.entry(index) <= ZERO_CLUSTER, `entry ${index} of the table at ${hex(tableOffset)} leads somewhere already`);
    }
    const sectors = table.sectorsWith(run);
    await this.#child.write(tableOffset + sectors.offset, sectors.bytes);
    table.bytes.set(sectors.bytes, sectors.offset);
  }

  #l2Offset(l1Index: number): number {
    const offset = this.#l1.entry(l1Index);
    if (offset === UNALLOCATED) return offset;
    const { l1Offset, tableClusters, tableSpan } = this.#geometry;
    const problem = this.#geometry.problemWith(offset, tableClusters, this.#fileEnd);
    if (problem !== undefined) throw this.#corrupt(`L1 entry ${l1Index}`, l1Offset + l1Index * 8, problem, l1Index * tableSpan);
    return offset;
  }

  #loadSlice(offset: number): Table | Promise<Table> {
    const table = new Table(this.#sliceEntries);
    const read = (): MaybePromise<void> => this.#child.read(offset, table.bytes);
    const suspended = this.#child.event("l2_load");
    const pending = suspended === undefined ? read() : suspended.then(read);
    return pending === undefined ? table : pending.then(() => table);
  }

  #corrupt(entry: string, at: number, problem: string, offset: number): BlockError {
    return new BlockError("CORRUPT_IMAGE", `${this.#child.fileName}: ${entry} at ${hex(at)} points to ${problem}`, { offset });
  }
}
