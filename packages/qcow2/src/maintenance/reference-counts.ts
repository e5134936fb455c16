/** References to host clusters, counted while the tables are walked. */

import { endianness } from "node:os";
import type { Geometry } from "../format/geometry.ts";
import type { CheckLog } from "./check-log.ts";

const LITTLE_ENDIAN = endianness() === "LE";

type Counts = Uint8Array | Uint16Array | Uint32Array;

/** One number for each cluster of the file: 16 million of them take 32 MiB with refcounts of 16 bits. */
export class ReferenceCounts {
  readonly #geometry: Geometry;
  readonly #fileSize: number;
  readonly #log: CheckLog;
  readonly #max: number;
  #counts: Counts;
  #length: number;
  /** Some cluster has more than one reference. */
  shared = false;

  constructor(geometry: Geometry, fileSize: number, log: CheckLog) {
    this.#geometry = geometry;
    this.#fileSize = fileSize;
    this.#log = log;
    this.#length = Math.ceil(fileSize / geometry.clusterSize);
    this.#max = Math.min(2 ** geometry.refcountBits, 2 ** 32) - 1;
    this.#counts = this.#allocate(this.#length);
  }

  /** Clusters of the file, with one more where a table ends past it. */
  get length(): number {
    return this.#length;
  }

  get(cluster: number): number {
    return this.#counts[cluster] ?? 0;
  }

  set(cluster: number, value: number): void {
    this.#counts[cluster] = Math.min(value, this.#max);
  }

  /** Whether clusters [first, end) have the refcounts that `stored` holds, as they are on disk; known for widths of 8 and 16 bits. */
  equalsStored(first: number, end: number, stored: Uint8Array): boolean {
    const { refcountBits } = this.#geometry;
    if (refcountBits !== 8 && refcountBits !== 16) return false;
    const counted = Buffer.from(
      this.#counts.buffer,
      first * this.#counts.BYTES_PER_ELEMENT,
      (end - first) * this.#counts.BYTES_PER_ELEMENT,
    );
    const native = Buffer.from(stored);
    if (refcountBits === 16 && LITTLE_ENDIAN) native.swap16();
    return native.equals(counted);
  }

  /** One reference to a whole cluster of the file, aligned: the way of nearly all entries. Answers false where `add` must look closer. */
  addCluster(offset: number): boolean {
    const index = offset / this.#geometry.clusterSize;
    if (offset + this.#geometry.clusterSize > this.#fileSize || this.#counts[index] !== 0) return false;
    this.#counts[index] = 1;
    return true;
  }

  /** One reference to every cluster that [offset, offset + length) touches; `text` gives an offset that is no exact number. */
  add(offset: number, length: number, text: () => string = () => offset.toString(16)): void {
    const { clusterSize } = this.#geometry;
    if (length === 0) return;
    // The last cluster of a file may be there in part.
    if (offset + length - this.#fileSize >= clusterSize) {
      const place = `offset 0x${text()} size 0x${length.toString(16)}`;
      this.#log.damaged(`ERROR: counting reference for region exceeding the end of the file by one cluster or more: ${place}`, offset);
      return;
    }
    const last = Math.floor((offset + length - 1) / clusterSize);
    for (let cluster = Math.floor(offset / clusterSize); cluster <= last; cluster++) this.#count(cluster);
  }

  #count(cluster: number): void {
    if (cluster >= this.#length) this.#extend(cluster + 1);
    const count = this.get(cluster) + 1;
    if (count > this.#max) {
      const offset = cluster * this.#geometry.clusterSize;
      const advice =
        "Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy if the image cannot be opened for writing";
      this.#log.damaged(`ERROR: overflow cluster offset=0x${offset.toString(16)}\n${advice}`, offset);
      return;
    }
    this.#counts[cluster] = count;
    if (count > 1) this.shared = true;
  }

  #extend(length: number): void {
    const counts = this.#allocate(length);
    counts.set(this.#counts);
    this.#counts = counts;
    this.#length = length;
  }

  #allocate(length: number): Counts {
    const { refcountBits } = this.#geometry;
    if (refcountBits <= 8) return new Uint8Array(length);
    return refcountBits === 16 ? new Uint16Array(length) : new Uint32Array(length);
  }
}
