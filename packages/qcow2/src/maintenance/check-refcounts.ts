/** Compares the refcounts on disk with the references that were counted, and brings single ones into line. */

import { refcountCodec, type RefcountCodec } from "../format/refcounts.ts";
import type { CheckFile } from "./check-file.ts";
import type { CheckLog } from "./check-log.ts";
import type { RefcountTable } from "./refcount-table.ts";
import type { ReferenceCounts } from "./reference-counts.ts";

/** A refcount that is not the number of references. */
interface Difference {
  readonly cluster: number;
  readonly stored: number;
  readonly counted: number;
}

export interface RefcountComparisonParts {
  readonly file: CheckFile;
  readonly counts: ReferenceCounts;
  readonly log: CheckLog;
  readonly table: RefcountTable;
}

/** Keeps one refcount block in memory. */
export class RefcountComparison {
  readonly #file: CheckFile;
  readonly #counts: ReferenceCounts;
  readonly #log: CheckLog;
  readonly #table: RefcountTable;
  readonly #codec: RefcountCodec;
  readonly #block: DataView;
  #loaded = -1;
  /** Highest cluster that is in use or counted as used. */
  highest = 0;
  /** Some refcount is not what was counted. */
  differs = false;
  /** A cluster in use counts as free: no space can be handed out by these refcounts. */
  usedAsFree = false;

  constructor({ file, counts, log, table }: RefcountComparisonParts) {
    this.#file = file;
    this.#counts = counts;
    this.#log = log;
    this.#table = table;
    this.#codec = refcountCodec(file.geometry.refcountBits);
    this.#block = new DataView(new ArrayBuffer(file.geometry.clusterSize));
  }

  /** Tells all differences, and changes nothing. */
  async compare(): Promise<void> {
    const { clusterSize } = this.#file.geometry;
    await this.#walk(
      (difference) => {
        const { cluster, stored, counted } = difference;
        const offset = cluster * clusterSize;
        if (stored < counted) this.#log.wrong(`ERROR ${this.#textOf(difference)}`, offset, "tooFew");
        else this.#log.leaked(`Leaked ${this.#textOf(difference)}`, offset);
        this.differs = true;
        if (stored === 0) this.usedAsFree = true;
        return undefined;
      },
      (cluster) => this.#log.unchecked(`Can't get refcount for cluster ${cluster}: Input/output error`, cluster * clusterSize),
    );
  }

  /** Raises on disk what is too low. */
  async raise(): Promise<void> {
    await this.#walk((difference) => {
      const { cluster, stored, counted } = difference;
      if (stored > counted) return undefined;
      this.#log.repairing(this.#textOf(difference), cluster * this.#file.geometry.clusterSize, "tooFew");
      this.#log.corruptions--;
      this.#log.corruptionsFixed++;
      return counted;
    });
  }

  /** Lowers on disk what is too high. */
  async lower(): Promise<void> {
    await this.#walk((difference) => {
      const { cluster, stored, counted } = difference;
      if (stored < counted) return undefined;
      this.#log.repairing(this.#textOf(difference), cluster * this.#file.geometry.clusterSize, "leak");
      this.#log.leaks--;
      this.#log.leaksFixed++;
      return counted;
    });
  }

  /** Takes over what the disk says into the counts, where `takes` says so. */
  async adopt(takes: (difference: Difference) => boolean): Promise<void> {
    await this.#walk((difference) => {
      if (takes(difference)) this.#counts.set(difference.cluster, difference.stored);
      return undefined;
    });
  }

  /** Takes over what no known owner explains, `explained` being references with those that were given up since; what cannot be read counts as used. Answers for how many clusters. */
  async keepUnexplained(explained: ReferenceCounts): Promise<number> {
    let kept = 0;
    const keep = (cluster: number, stored: number): undefined => {
      if (stored <= explained.get(cluster)) return;
      this.#counts.set(cluster, stored);
      kept++;
    };
    await this.#walk(
      ({ cluster, stored }) => keep(cluster, stored),
      (cluster) => keep(cluster, 1),
    );
    return kept;
  }

  /** Makes every refcount of a cluster behind the end of the file zero, so that a file which grows over it finds it free. Nothing may lead there. */
  async clearPastEnd(): Promise<void> {
    const { refcountsPerBlock } = this.#file.geometry;
    const end = this.#counts.length;
    for (let index = Math.floor(end / refcountsPerBlock); index < this.#table.entries; index++) {
      if (this.#table.blockOffset(index) === 0 || !(await this.#load(index))) continue;
      const first = Math.max(0, end - index * refcountsPerBlock);
      if (this.#codec.findUsed(this.#block, first, refcountsPerBlock) === refcountsPerBlock) continue;
      for (let at = first; at < refcountsPerBlock; at++) this.#codec.set(this.#block, at, 0);
      await this.#file.write(this.#table.blockOffset(index), new Uint8Array(this.#block.buffer));
      this.#loaded = -1;
    }
  }

  /** Refcount on disk as text, exact; `undefined` where it cannot be read. */
  async stored(cluster: number): Promise<string | undefined> {
    const { refcountsPerBlock } = this.#file.geometry;
    return (await this.#load(Math.floor(cluster / refcountsPerBlock))) ? this.#storedText(cluster) : undefined;
  }

  /** Whether there is a block for the refcount, or a place without one. */
  isReadable(cluster: number): boolean {
    return this.#table.isPlace(Math.floor(cluster / this.#file.geometry.refcountsPerBlock));
  }

  /** Meets every difference; an answer is the refcount that goes to the disk. */
  async #walk(change: (difference: Difference) => number | undefined, unreadable: (cluster: number) => void = () => {}): Promise<void> {
    const { refcountsPerBlock } = this.#file.geometry;
    for (let first = 0; first < this.#counts.length; first += refcountsPerBlock) {
      const index = first / refcountsPerBlock;
      if (this.#table.blockOffset(index) === 0 && this.#counts.isBlockEmpty(first)) continue;
      const readable = await this.#load(index);
      const end = Math.min(this.#counts.length, first + refcountsPerBlock);
      if (readable && this.#isEqual(first, end)) continue;
      let changed = false;
      for (let cluster = first; cluster < end; cluster++) {
        if (!readable) {
          unreadable(cluster);
          continue;
        }
        const stored = this.#codec.get(this.#block, cluster - first);
        const counted = this.#counts.get(cluster);
        if ((stored > 0 || counted > 0) && cluster > this.highest) this.highest = cluster;
        if (stored === counted) continue;
        const wanted = change({ cluster, stored, counted });
        if (wanted === undefined) continue;
        this.#codec.set(this.#block, cluster - first, wanted);
        changed = true;
      }
      if (changed) await this.#file.write(this.#table.blockOffset(index), new Uint8Array(this.#block.buffer));
      // A dry run left the disk as it is: the next look is at that.
      if (changed) this.#loaded = -1;
    }
  }

  /** Compares a block at one stroke; what differs is looked for one by one. */
  #isEqual(first: number, end: number): boolean {
    const bytes = new Uint8Array(this.#block.buffer, 0, Math.floor(((end - first) * this.#codec.bits) / 8));
    if (!this.#counts.equalsStored(first, end, bytes)) return false;
    for (let cluster = end - 1; cluster >= first && cluster > this.highest; cluster--)
      if (this.#counts.get(cluster) > 0) this.highest = cluster;
    return true;
  }

  #textOf({ cluster, counted }: Difference): string {
    return `cluster ${cluster} refcount=${this.#storedText(cluster)} reference=${counted}`;
  }

  /** Refcounts of 64 bits may be larger than a number can tell. */
  #storedText(cluster: number): string {
    const index = cluster % this.#file.geometry.refcountsPerBlock;
    return this.#codec.bits === 64 ? this.#block.getBigUint64(index * 8).toString() : String(this.#codec.get(this.#block, index));
  }

  /** Reads the block of table entry `index`; where there is none, or past the file, all refcounts are zero. False where the entry is no place of a block. */
  async #load(index: number): Promise<boolean> {
    if (!this.#table.isPlace(index)) return false;
    if (this.#loaded === index) return true;
    const offset = this.#table.blockOffset(index);
    const bytes = new Uint8Array(this.#block.buffer);
    if (offset === 0) bytes.fill(0);
    else await this.#file.read(offset, bytes);
    this.#loaded = index;
    return true;
  }
}
