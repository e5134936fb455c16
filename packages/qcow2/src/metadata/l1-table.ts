/** The active L1 table: all of it is kept in memory. */

import {
  COPIED_HIGH,
  entryFor,
  entryText,
  hasReservedL1Bits,
  isClusterAligned,
  isCopied,
  isOffsetExact,
  offsetOf,
} from "../format/entries.ts";
import type { Geometry } from "../format/geometry.ts";
import type { ImageFile } from "./image-file.ts";
import { TableBytes } from "./table-bytes.ts";

export class L1Table {
  readonly #file: ImageFile;
  readonly #geometry: Geometry;
  #table: TableBytes;
  #offset: number;

  constructor(file: ImageFile, geometry: Geometry, bytes: Uint8Array, offset: number) {
    this.#file = file;
    this.#geometry = geometry;
    this.#table = new TableBytes(bytes);
    this.#offset = offset;
  }

  get table(): TableBytes {
    return this.#table;
  }

  /** Where it lies in the file, bytes. */
  get offset(): number {
    return this.#offset;
  }

  get entries(): number {
    return this.#table.entries;
  }

  /** Offset of the L2 table; 0 where there is none. Throws CORRUPT_IMAGE for a bad entry. */
  l2Offset(index: number): number {
    const high = this.#table.high(index);
    const low = this.#table.low(index);
    if (high === 0 && low === 0) return 0;
    const offset = offsetOf(high, low);
    if (hasReservedL1Bits(high, low) || !isOffsetExact(high) || !isClusterAligned(low, this.#geometry.clusterSize)) {
      throw this.#file.corrupt(`L1 entry ${index} is ${entryText(high, low)}, which is no place of an L2 table`, this.#offset + index * 8);
    }
    return offset;
  }

  /** The L2 table has no other owner and may be changed where it is. */
  isOwned(index: number): boolean {
    return isCopied(this.#table.high(index));
  }

  /** Entries from `index` on without an L2 table, looking at `limit` of them. COPIED says nothing of a table that is not there. */
  countEmpty(index: number, limit: number): number {
    let end = index;
    const last = Math.min(index + limit, this.entries);
    while (end < last && (this.#table.high(end) === 0 || this.#table.high(end) === COPIED_HIGH) && this.#table.low(end) === 0) end++;
    return end - index;
  }

  /** Points to an L2 table with this one owner. */
  set(index: number, l2Offset: number): void {
    this.#table.set(index, entryFor(l2Offset, true));
  }

  /** Takes over a longer table, which is on disk and in the header already. */
  replace(bytes: Uint8Array, offset: number): void {
    this.#table = new TableBytes(bytes);
    this.#offset = offset;
  }
}
