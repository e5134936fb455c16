/** Compares the refcounts on disk with the references that were counted. */

import { offsetOf } from "../format/entries.ts";
import { refcountCodec, type RefcountCodec } from "../format/refcounts.ts";
import { TWO_32 } from "../format/words.ts";
import type { CheckFile } from "./check-file.ts";
import type { CheckLog } from "./check-log.ts";
import type { ReferenceCounts } from "./reference-counts.ts";

export class RefcountComparison {
  readonly #file: CheckFile;
  readonly #counts: ReferenceCounts;
  readonly #log: CheckLog;
  readonly #codec: RefcountCodec;
  readonly #table: DataView;
  readonly #block: DataView;
  #loaded = -1;
  /** Highest cluster that is in use or counted as used. */
  highest = 0;
  /** Some refcount is not what was counted. */
  differs = false;

  /** `table`: the whole refcount table. */
  constructor(file: CheckFile, counts: ReferenceCounts, log: CheckLog, table: DataView) {
    this.#file = file;
    this.#counts = counts;
    this.#log = log;
    this.#codec = refcountCodec(file.geometry.refcountBits);
    this.#table = table;
    this.#block = new DataView(new ArrayBuffer(file.geometry.clusterSize));
  }

  /** Counts the refcount blocks: each has the table as its only owner. */
  countBlocks(): void {
    const { clusterSize } = this.#file.geometry;
    for (let index = 0; index < this.#table.byteLength / 8; index++) {
      const low = this.#table.getUint32(index * 8 + 4);
      const offset = this.#blockOffset(index);
      if (low % 512 !== 0) this.#log.damaged(`ERROR refcount table entry ${index} has reserved bits set`, index * 8);
      else if (offset % clusterSize !== 0)
        this.#log.damaged(`ERROR refcount block ${index} is not cluster aligned; refcount table entry corrupted`, offset);
      else if (offset / clusterSize >= this.#counts.length) this.#log.damaged(`ERROR refcount block ${index} is outside image`, offset);
      else if (offset !== 0) {
        this.#counts.add(offset, clusterSize);
        const count = this.#counts.get(offset / clusterSize);
        if (count !== 1) this.#log.damaged(`ERROR refcount block ${index} refcount=${count}`, offset);
      }
    }
  }

  /** Afterwards `counts` holds what the disk says. */
  async compare(): Promise<void> {
    const { clusterSize, refcountsPerBlock } = this.#file.geometry;
    for (let first = 0; first < this.#counts.length; first += refcountsPerBlock) {
      const readable = await this.#load(first / refcountsPerBlock);
      const end = Math.min(this.#counts.length, first + refcountsPerBlock);
      if (readable && this.#isEqual(first, end)) continue;
      for (let cluster = first; cluster < end; cluster++) {
        if (!readable) {
          this.#log.unchecked(`Can't get refcount for cluster ${cluster}: Input/output error`, cluster * clusterSize);
          continue;
        }
        const stored = this.#codec.get(this.#block, cluster - first);
        const counted = this.#counts.get(cluster);
        if (stored > 0 || counted > 0) this.highest = cluster;
        if (stored !== counted) this.#report(cluster, stored, counted);
      }
    }
  }

  /** Refcount on disk as text, exact; `undefined` where it cannot be read. */
  async stored(cluster: number): Promise<string | undefined> {
    const { refcountsPerBlock } = this.#file.geometry;
    return (await this.#load(Math.floor(cluster / refcountsPerBlock))) ? this.#textOf(cluster % refcountsPerBlock) : undefined;
  }

  /** The same from memory, where it is known to be one or not. */
  isOne(cluster: number): boolean | undefined {
    return cluster < this.#counts.length ? this.#counts.get(cluster) === 1 : undefined;
  }

  /** Compares a block at one stroke; what differs is looked for one by one. */
  #isEqual(first: number, end: number): boolean {
    const bytes = new Uint8Array(this.#block.buffer, 0, Math.floor(((end - first) * this.#codec.bits) / 8));
    if (!this.#counts.equalsStored(first, end, bytes)) return false;
    for (let cluster = end - 1; cluster >= first; cluster--) {
      if (this.#counts.get(cluster) === 0) continue;
      this.highest = cluster;
      break;
    }
    return true;
  }

  #report(cluster: number, stored: number, counted: number): void {
    const offset = cluster * this.#file.geometry.clusterSize;
    const text = this.#textOf(cluster % this.#file.geometry.refcountsPerBlock);
    const numbers = `cluster ${cluster} refcount=${text} reference=${counted}`;
    if (stored < counted) this.#log.tooFew(`ERROR ${numbers}`, offset);
    else this.#log.leaked(`Leaked ${numbers}`, offset);
    this.#counts.set(cluster, stored);
    this.differs = true;
  }

  /** Refcounts of 64 bits may be larger than a number can tell. */
  #textOf(index: number): string {
    return this.#codec.bits === 64 ? this.#block.getBigUint64(index * 8).toString() : String(this.#codec.get(this.#block, index));
  }

  /** Reads the block of table entry `index`; where there is none, or past the file, all refcounts are zero. False where the entry is no place of a block. */
  async #load(index: number): Promise<boolean> {
    const offset = index * 8 < this.#table.byteLength ? this.#blockOffset(index) : 0;
    if (offset % this.#file.geometry.clusterSize !== 0 || offset >= 2 ** 63) return false;
    if (this.#loaded === index) return true;
    const bytes = new Uint8Array(this.#block.buffer);
    if (offset === 0) bytes.fill(0);
    else await this.#file.read(offset, bytes);
    this.#loaded = index;
    return true;
  }

  /** All bits from 9 on, as the table has no flags. */
  #blockOffset(index: number): number {
    const high = this.#table.getUint32(index * 8);
    return Math.floor(high / 2 ** 24) * 2 ** 24 * TWO_32 + offsetOf(high, this.#table.getUint32(index * 8 + 4));
  }
}
