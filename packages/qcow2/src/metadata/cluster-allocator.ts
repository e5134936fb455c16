/** Finds free host clusters and gives them their first reference. */

import { type CachedTable, hex } from "@coblock/core";
import type { Geometry } from "../format/geometry.ts";
import type { FreedSpace } from "./freed-space.ts";
import { type ClusterRun, FreeRuns } from "./free-runs.ts";
import type { ImageFile } from "./image-file.ts";
import type { MetadataKind, MetadataMap } from "./metadata-map.ts";
import { buildBlocks, type RefcountStore } from "./refcount-store.ts";
import { growRefcountTable } from "./refcount-table-growth.ts";
import type { TableBytes } from "./table-bytes.ts";

export interface ClusterAllocatorParts {
  readonly file: ImageFile;
  readonly geometry: Geometry;
  readonly map: MetadataMap;
  readonly refcounts: RefcountStore;
  /** Takes the old refcount table when the new one is in use. */
  readonly freed: FreedSpace;
}

/**
 * First released space, then upwards from where the last search ended. A new refcount block is put into the range that it counts, so
 * it describes itself. Used under the driver lock alone.
 */
export class ClusterAllocator {
  readonly #parts: ClusterAllocatorParts;
  readonly #free = new FreeRuns();
  /** Every cluster below is in use or in `#free`. */
  #next = 0;

  constructor(parts: ClusterAllocatorParts) {
    this.#parts = parts;
  }

  /** Clusters whose refcount is zero now. */
  released(first: number, count: number): void {
    const forgotten = this.#free.add(first, count);
    if (forgotten !== undefined) this.#next = Math.min(this.#next, forgotten);
  }

  /** 1 to `maxCount` clusters in a row, each with one reference. Throws NO_SPACE where the file cannot grow. */
  async allocate(maxCount: number): Promise<ClusterRun> {
    await this.#parts.file.event("cluster_alloc");
    for (let run = this.#free.next; run !== undefined; run = this.#free.next) {
      const found = await this.#searchBlock(run.first, run.first + run.count, maxCount);
      this.#free.takeUpTo(found === undefined ? this.#endOfBlock(run) : found.first + found.count);
      if (found !== undefined) return found;
    }
    for (;;) {
      const blockEnd = this.#endOfBlock({ first: this.#next, count: Number.POSITIVE_INFINITY });
      const found = await this.#searchBlock(this.#next, blockEnd, maxCount);
      this.#next = found === undefined ? blockEnd : found.first + found.count;
      if (found !== undefined) return found;
    }
  }

  /** `allocate` where the refcounts that say what is free next are in memory, and something is; else `undefined`. Tells nobody. */
  allocateNow(maxCount: number): ClusterRun | undefined {
    const released = this.#free.next;
    const { refcounts, geometry } = this.#parts;
    const { first, count } = released ?? { first: this.#next, count: geometry.refcountsPerBlock };
    const block = refcounts.blockNow(refcounts.place(first).tableIndex);
    const free = block === undefined ? undefined : this.#findFree(block, first, first + count, maxCount);
    const usable = free === undefined ? undefined : this.#usableNow(free);
    if (block === undefined || usable === undefined) return undefined;
    this.#reference(block, usable);
    const end = usable.first + usable.count;
    if (released === undefined) this.#next = end;
    else this.#free.takeUpTo(end);
    return usable;
  }

  /** Exactly `count` clusters in a row, each with one reference; for tables, which are rare, so released space is not looked at. */
  async allocateContiguous(count: number): Promise<number> {
    const { refcounts, geometry, file } = this.#parts;
    await file.event("cluster_alloc");
    // The blocks that count the run lie behind it, as far as they are new.
    const spare = 2 * Math.ceil(count / geometry.refcountsPerBlock) + 2;
    const first = await this.#findContiguous(count + spare);
    const missing = await this.#missingBlocks(first, count + spare);
    const total = count + missing.length;
    await this.#claim({ first, count: total });
    const blocks = buildBlocks(geometry, missing, { first, count: total });
    if (blocks.length > 0) {
      await file.event("refblock_alloc");
      await file.event("refblock_alloc_write_blocks");
    }
    for (const [index, bytes] of blocks.entries()) await file.write((first + count + index) * geometry.clusterSize, bytes);
    await file.flush();
    await this.#referenceExisting(first, total);
    for (const [index, tableIndex] of missing.entries()) refcounts.adoptBlock(tableIndex, (first + count + index) * geometry.clusterSize);
    return first;
  }

  /** Clusters that were allocated and that nothing on disk or in flight ever referred to. */
  async giveBack(first: number, count: number): Promise<void> {
    await this.#parts.file.event("cluster_free");
    for (let cluster = first; cluster < first + count; cluster++) {
      if ((await this.#parts.refcounts.lower(cluster, 1)) === 0) this.released(cluster, 1);
    }
  }

  /** Free clusters in [from, to), as far as the block of `from` counts them. */
  async #searchBlock(from: number, to: number, maxCount: number): Promise<ClusterRun | undefined> {
    const { refcounts } = this.#parts;
    const { tableIndex } = refcounts.place(from);
    const block = (await refcounts.block(tableIndex)) ?? (await this.#addBlock(tableIndex, from));
    const free = this.#findFree(block, from, to, maxCount);
    if (free === undefined) return undefined;
    const run = await this.#usable(free);
    this.#reference(block, run);
    return run;
  }

  /** The same, as far as `block` says, which counts `from`. */
  #findFree({ table: { view } }: CachedTable<TableBytes>, from: number, to: number, maxCount: number): ClusterRun | undefined {
    const { refcounts, geometry } = this.#parts;
    const { index } = refcounts.place(from);
    const end = Math.min(index + (to - from), geometry.refcountsPerBlock);
    const start = refcounts.codec.findFree(view, index, end);
    if (start === end) return undefined;
    const used = refcounts.codec.findUsed(view, start, Math.min(start + maxCount, end));
    return { first: from + (start - index), count: used - start };
  }

  /** One reference for clusters that have none; `block` counts them. */
  #reference(block: CachedTable<TableBytes>, { first, count }: ClusterRun): void {
    const { refcounts } = this.#parts;
    refcounts.fill(block, refcounts.place(first).index, count, 1);
  }

  /** A block for clusters that have none: the first of them holds it. */
  async #addBlock(tableIndex: number, cluster: number): Promise<CachedTable<TableBytes>> {
    const { refcounts, geometry, file } = this.#parts;
    await file.event("refblock_alloc");
    if (tableIndex >= refcounts.table.entries) {
      await this.#growTable(tableIndex + 1);
      const known = await refcounts.block(tableIndex);
      if (known !== undefined) return known;
    }
    await this.#claim({ first: cluster, count: 1 });
    const block = await refcounts.addBlock(tableIndex, cluster * geometry.clusterSize);
    refcounts.fill(block, refcounts.place(cluster).index, 1, 1);
    return block;
  }

  /** The part of a free run that may be used. A free cluster that holds metadata proves that the refcounts are wrong. */
  async #usable(run: ClusterRun): Promise<ClusterRun> {
    const { file, geometry } = this.#parts;
    const kind = this.#metadataIn(run);
    if (kind !== undefined) {
      const offset = run.first * geometry.clusterSize;
      const message = `the refcounts say that ${run.count} clusters at offset ${hex(offset)} are free, but the ${kind} is there`;
      return file.failDamaged(file.corrupt(message, offset));
    }
    const usable = this.#insideFile(run);
    if (usable === undefined) throw file.noSpace(`the image file is ${file.size} bytes long and cannot grow`);
    return usable;
  }

  /** The same, `undefined` where it throws. */
  #usableNow(run: ClusterRun): ClusterRun | undefined {
    return this.#metadataIn(run) === undefined ? this.#insideFile(run) : undefined;
  }

  #metadataIn({ first, count }: ClusterRun): MetadataKind | undefined {
    const { map, geometry } = this.#parts;
    // Whatever is checked: cluster 0 is the header's.
    return first === 0 ? "header" : map.find(first * geometry.clusterSize, count * geometry.clusterSize);
  }

  /** What of the run the file holds, or can grow to hold. */
  #insideFile({ first, count }: ClusterRun): ClusterRun | undefined {
    const { file, geometry } = this.#parts;
    const inside = file.child.growable ? count : Math.min(count, Math.floor(file.size / geometry.clusterSize) - first);
    return inside < 1 ? undefined : { first, count: inside };
  }

  /** All of the run may be used. */
  async #claim(run: ClusterRun): Promise<void> {
    const { file } = this.#parts;
    if ((await this.#usable(run)).count < run.count) throw file.noSpace(`the image file is ${file.size} bytes long and cannot grow`);
  }

  #growTable(entries: number): Promise<void> {
    return growRefcountTable({ ...this.#parts, claim: (run) => this.#claim(run) }, entries);
  }

  /** The first of `count` free clusters in a row. Where there is no block, all are free; the refcount table has entries for all. */
  async #findContiguous(count: number): Promise<number> {
    const { refcounts, geometry } = this.#parts;
    let first = this.#next;
    for (let at = first; at < first + count;) {
      const { tableIndex, index } = refcounts.place(at);
      const blockStart = at - index;
      const block = await refcounts.block(tableIndex);
      const { refcountsPerBlock } = geometry;
      const used = block === undefined ? refcountsPerBlock : refcounts.codec.findUsed(block.table.view, index, refcountsPerBlock);
      at = blockStart + used;
      if (block === undefined || used === refcountsPerBlock || at >= first + count) continue;
      first = blockStart + refcounts.codec.findFree(block.table.view, used, refcountsPerBlock);
      at = first;
    }
    const entries = refcounts.place(first + count).tableIndex + 1;
    if (entries <= refcounts.table.entries) return first;
    await this.#growTable(entries);
    return this.#findContiguous(count);
  }

  /** Indices in the refcount table without a block, of those that count the run and its own new blocks behind. */
  async #missingBlocks(first: number, count: number): Promise<number[]> {
    const { refcounts } = this.#parts;
    const missing: number[] = [];
    const last = refcounts.place(first + count - 1).tableIndex;
    for (let index = refcounts.place(first).tableIndex; index <= last; index++)
      if ((await refcounts.block(index)) === undefined) missing.push(index);
    return missing;
  }

  /** References the clusters of the run that are counted by blocks which exist; on failure none. */
  async #referenceExisting(first: number, count: number): Promise<void> {
    const { refcounts, geometry } = this.#parts;
    const done: ClusterRun[] = [];
    try {
      for (let at = first; at < first + count;) {
        const { tableIndex, index } = refcounts.place(at);
        const length = Math.min(first + count - at, geometry.refcountsPerBlock - index);
        const block = await refcounts.block(tableIndex);
        if (block !== undefined) {
          refcounts.fill(block, index, length, 1);
          done.push({ first: at, count: length });
        }
        at += length;
      }
    } catch (error) {
      for (const run of done) await this.giveBack(run.first, run.count);
      throw error;
    }
  }

  #endOfBlock({ first, count }: ClusterRun): number {
    const { refcountsPerBlock } = this.#parts.geometry;
    return Math.min(first + count, (Math.floor(first / refcountsPerBlock) + 1) * refcountsPerBlock);
  }
}
