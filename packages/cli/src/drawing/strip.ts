/** A stretch of bytes as a row of buckets, each with its bytes by kind: runs in any number become a picture of one size. */

import { assert } from "@coblock/core";
import type { PaintedKind } from "./painted-kind.ts";

export class Strip {
  /** Bytes. */
  readonly size: number;
  readonly kinds: readonly PaintedKind[];
  /** Buckets; none is empty, so there may be fewer than were asked for. */
  readonly count: number;
  readonly #bytes: Float64Array;

  constructor(size: number, count: number, kinds: readonly PaintedKind[]) {
    this.size = size;
    this.kinds = kinds;
    this.count = Math.max(1, Math.min(count, size));
    this.#bytes = new Float64Array(this.count * kinds.length);
  }

  /** Where a bucket begins, bytes; that of `count` is where the last one ends. */
  start(bucket: number): number {
    // Exact also where size times bucket would be beyond 2^53.
    return Math.floor(this.size / this.count) * bucket + Math.floor(((this.size % this.count) * bucket) / this.count);
  }

  /** Bytes of a bucket. */
  length(bucket: number): number {
    return this.start(bucket + 1) - this.start(bucket);
  }

  /** Counts a run; what lies outside of the stretch is not counted. A run may be added but once. */
  add(offset: number, length: number, kind: PaintedKind): void {
    const row = this.#rowOf(kind);
    const end = Math.min(offset + length, this.size);
    let at = Math.max(offset, 0);
    for (let bucket = this.#bucketAt(at); at < end; bucket++) {
      const next = Math.min(this.start(bucket + 1), end);
      this.#bytes[row + bucket] = this.bytes(bucket, kind) + (next - at);
      at = next;
    }
  }

  /** Counts bytes that are known to lie within one bucket. */
  addToBucket(bucket: number, length: number, kind: PaintedKind): void {
    this.#bytes[this.#rowOf(kind) + bucket] = this.bytes(bucket, kind) + length;
  }

  /** Bytes of one kind in a bucket. */
  bytes(bucket: number, kind: PaintedKind): number {
    return this.#bytes[this.#rowOf(kind) + bucket] ?? 0;
  }

  /** Bytes of one kind. */
  total(kind: PaintedKind): number {
    let sum = 0;
    for (let bucket = 0; bucket < this.count; bucket++) sum += this.bytes(bucket, kind);
    return sum;
  }

  #rowOf(kind: PaintedKind): number {
    const index = this.kinds.indexOf(kind);
    assert(index >= 0, `a strip has no '${kind.name}'`);
    return index * this.count;
  }

  /** Of an offset within the stretch. */
  #bucketAt(offset: number): number {
    let bucket = Math.min(Math.floor(offset / (this.size / this.count)), this.count - 1);
    while (bucket > 0 && this.start(bucket) > offset) bucket--;
    while (bucket < this.count - 1 && this.start(bucket + 1) <= offset) bucket++;
    return bucket;
  }
}
