/** The refcount table of an image as a check sees it: where blocks are, and which entries cannot be. */

import { offsetOf } from "../format/entries.ts";
import type { Geometry } from "../format/geometry.ts";
import { TWO_32 } from "../format/words.ts";
import type { CheckFile } from "./check-file.ts";
import type { CheckLog } from "./check-log.ts";
import type { ReferenceCounts } from "./reference-counts.ts";

export class RefcountTable {
  readonly #geometry: Geometry;
  readonly #table: DataView;
  readonly offset: number;
  /** Some block is no block, or something else too: after a look at all of them, refcounts must be written anew. */
  damaged = false;
  /** Some block lies behind the end of the file. */
  outside = false;

  private constructor(geometry: Geometry, offset: number, table: DataView) {
    this.#geometry = geometry;
    this.offset = offset;
    this.#table = table;
  }

  static async read(file: CheckFile, offset: number, clusters: number): Promise<RefcountTable> {
    return new RefcountTable(file.geometry, offset, await file.readTable(offset, clusters * file.geometry.clusterSize));
  }

  /** Bytes. */
  get length(): number {
    return this.#table.byteLength;
  }

  get entries(): number {
    return this.#table.byteLength / 8;
  }

  /** Where the block of entry `index` lies; 0: there is none, all its refcounts are zero. All bits from 9 on, as the table has no flags. */
  blockOffset(index: number): number {
    if (index >= this.entries) return 0;
    const high = this.#table.getUint32(index * 8);
    return Math.floor(high / 2 ** 24) * 2 ** 24 * TWO_32 + offsetOf(high, this.#table.getUint32(index * 8 + 4));
  }

  /** Whether block `index` can be read at all. */
  isPlace(index: number): boolean {
    const offset = this.blockOffset(index);
    return offset % this.#geometry.clusterSize === 0 && offset < 2 ** 63;
  }

  /** Counts the refcount blocks: each has the table as its only owner. */
  countBlocks(counts: ReferenceCounts, log: CheckLog): void {
    const { clusterSize } = this.#geometry;
    for (let index = 0; index < this.entries; index++) {
      const offset = this.blockOffset(index);
      const place = this.offset + index * 8;
      const problem = this.#problem(index, offset, counts);
      if (problem !== undefined) log.wrong(`ERROR ${problem}`, place, "refcountTable");
      else if (offset !== 0) {
        // Narrow refcounts cannot count another owner.
        if (counts.get(offset / clusterSize) > 0) this.damaged = true;
        counts.add(offset, clusterSize);
        const count = counts.get(offset / clusterSize);
        if (count === 1) continue;
        log.wrong(`ERROR refcount block ${index} refcount=${count}`, offset, "refcountTable");
        this.damaged = true;
      }
    }
  }

  #problem(index: number, offset: number, counts: ReferenceCounts): string | undefined {
    const { clusterSize } = this.#geometry;
    const isReserved = this.#table.getUint32(index * 8 + 4) % 512 !== 0;
    if (isReserved || offset % clusterSize !== 0) {
      this.damaged = true;
      if (isReserved) return `refcount table entry ${index} has reserved bits set`;
      return `refcount block ${index} is not cluster aligned; refcount table entry corrupted`;
    }
    if (offset / clusterSize < counts.length) return undefined;
    this.outside = true;
    return `refcount block ${index} is outside image`;
  }
}
