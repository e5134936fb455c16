/** References to host clusters, counted while the tables are walked. */

import { endianness } from "node:os";
import { BlockError, SparseSet } from "@coblock/core";
import type { Geometry } from "../format/geometry.ts";
import type { CheckLog } from "./check-log.ts";

const LITTLE_ENDIAN = endianness() === "LE";
/** Larger indices would not be exact in 32 bits; QEMU draws the line at the same place. */
const MAX_CLUSTERS = 2 ** 31 - 1;
const MIN_PAGE_CLUSTERS = 2 ** 16;

type Counts = Uint8Array | Uint16Array | Uint32Array;

/**
 * One number for each cluster of the file, in pages that exist where something is counted: 16 million of them take 32 MiB with refcounts
 * of 16 bits, and a sparse file without end takes none. A refcount block lies in one page.
 */
export class ReferenceCounts {
  readonly #geometry: Geometry;
  readonly #fileSize: number;
  readonly #max: number;
  readonly #pageBits: number;
  readonly #pageMask: number;
  readonly #pages: (Counts | undefined)[] = [];
  readonly #log: CheckLog;
  readonly #overflowed = new SparseSet();
  #length: number;
  /** Some cluster has more than one reference. */
  shared = false;
  /** Some cluster has more references than can be counted. */
  overflowed = false;
  /** The lowest offset that something leads to behind the end of the file; bytes. */
  firstPastEnd: number = Number.POSITIVE_INFINITY;

  /** Throws OUT_OF_RANGE where the file has too many clusters. */
  constructor(geometry: Geometry, fileSize: number, log: CheckLog) {
    this.#geometry = geometry;
    this.#fileSize = fileSize;
    this.#log = log;
    this.#length = Math.ceil(fileSize / geometry.clusterSize);
    if (this.#length > MAX_CLUSTERS)
      throw new BlockError("OUT_OF_RANGE", `a file of ${this.#length} clusters is too long to be checked; ${MAX_CLUSTERS} are the most`);
    this.#max = Math.min(2 ** geometry.refcountBits, 2 ** 32) - 1;
    this.#pageBits = Math.log2(Math.max(geometry.refcountsPerBlock, MIN_PAGE_CLUSTERS));
    this.#pageMask = 2 ** this.#pageBits - 1;
  }

  /** Clusters of the file, with one more where a table ends past it. */
  get length(): number {
    return this.#length;
  }

  /** The last cluster that has references; 0 where none has. */
  get highest(): number {
    for (let index = this.#pages.length - 1; index >= 0; index--) {
      const at = this.#pages[index]?.findLastIndex((count) => count > 0) ?? -1;
      if (at >= 0) return index * (this.#pageMask + 1) + at;
    }
    return 0;
  }

  get(cluster: number): number {
    if (cluster >= this.#length) return 0;
    return this.#pages[cluster >>> this.#pageBits]?.[cluster & this.#pageMask] ?? 0;
  }

  /** More than fits is kept as the most that does. */
  set(cluster: number, value: number): void {
    if (cluster >= this.#length) this.#length = cluster + 1;
    this.#page(cluster)[cluster & this.#pageMask] = Math.min(value, this.#max);
  }

  /** A cluster has more references than can be counted. */
  isOverflowed(cluster: number): boolean {
    return this.#overflowed.has(cluster);
  }

  /** The number is the whole truth, not the most that can be counted here. */
  isExact(value: number): boolean {
    return value < 2 ** 32 - 1;
  }

  /** Whether nothing was ever counted among the clusters of a refcount block that begins at `first`. */
  isBlockEmpty(first: number): boolean {
    return this.#pages[first >>> this.#pageBits] === undefined;
  }

  /** Whether clusters [first, end) have the refcounts that `stored` holds, as they are on disk; known for widths of 8 and 16 bits. */
  equalsStored(first: number, end: number, stored: Uint8Array): boolean {
    const { refcountBits } = this.#geometry;
    const page = this.#pages[first >>> this.#pageBits];
    if ((refcountBits !== 8 && refcountBits !== 16) || page === undefined) return false;
    const { BYTES_PER_ELEMENT } = page;
    const start = page.byteOffset + (first & this.#pageMask) * BYTES_PER_ELEMENT;
    const counted = Buffer.from(page.buffer, start, (end - first) * BYTES_PER_ELEMENT);
    const native = Buffer.from(stored);
    if (refcountBits === 16 && LITTLE_ENDIAN) native.swap16();
    return native.equals(counted);
  }

  /**
   * One reference to each of `length` whole clusters in a row, aligned: the way of nearly all entries. Answers how many of them are counted:
   * at the next one `add` must look closer.
   */
  addRow(offset: number, length: number): number {
    const { clusterSize } = this.#geometry;
    const first = offset / clusterSize;
    const end = Math.min(first + length, Math.floor(this.#fileSize / clusterSize));
    for (let cluster = first; cluster < end;) {
      const page = this.#page(cluster);
      const at = cluster & this.#pageMask;
      const wanted = Math.min(end - cluster, page.length - at);
      let free = at;
      while (free < at + wanted && page[free] === 0) free++;
      page.fill(1, at, free);
      cluster += free - at;
      if (free < at + wanted) return cluster - first;
    }
    return Math.max(0, end - first);
  }

  /** One reference to every cluster that [offset, offset + length) touches; `text` gives an offset that is no exact number. */
  add(offset: number, length: number, text: () => string = () => offset.toString(16)): void {
    const { clusterSize } = this.#geometry;
    if (length === 0) return;
    // The last cluster of a file may be there in part.
    if (offset + length - this.#fileSize >= clusterSize) {
      const place = `offset 0x${text()} size 0x${length.toString(16)}`;
      const what = `ERROR: counting reference for region exceeding the end of the file by one cluster or more: ${place}`;
      this.firstPastEnd = Math.min(this.firstPastEnd, Math.max(offset, this.#fileSize));
      return this.#log.damaged(what, offset, "pastEnd");
    }
    const last = Math.floor((offset + length - 1) / clusterSize);
    for (let cluster = Math.floor(offset / clusterSize); cluster <= last; cluster++) this.#count(cluster);
  }

  #count(cluster: number): void {
    const count = this.get(cluster) + 1;
    if (count > this.#max) {
      this.#overflowed.add(cluster);
      this.overflowed = true;
      const offset = cluster * this.#geometry.clusterSize;
      const advice =
        "Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy if the image cannot be opened for writing";
      return this.#log.wrong(`ERROR: overflow cluster offset=0x${offset.toString(16)}\n${advice}`, offset, "overflow");
    }
    this.set(cluster, count);
    if (count > 1) this.shared = true;
  }

  #page(cluster: number): Counts {
    const index = cluster >>> this.#pageBits;
    return (this.#pages[index] ??= this.#newPage());
  }

  #newPage(): Counts {
    const length = this.#pageMask + 1;
    const { refcountBits } = this.#geometry;
    if (refcountBits <= 8) return new Uint8Array(length);
    return refcountBits === 16 ? new Uint16Array(length) : new Uint32Array(length);
  }
}
