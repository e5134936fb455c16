/** Where the bytes of a range go as they arrive. */

import { assert } from "@coblock/core";

export class RangeTarget {
  readonly offset: number;
  #bytes: Uint8Array;
  #filled = 0;

  /** Bytes of the file from `offset` on, as many as `bytes` has room for. */
  constructor(offset: number, bytes: Uint8Array) {
    this.offset = offset;
    this.#bytes = bytes;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  get filled(): number {
    return this.#filled;
  }

  get left(): number {
    return this.length - this.#filled;
  }

  get full(): boolean {
    return this.left === 0;
  }

  /** The file ends at `size`: what lies behind is not waited for. */
  cut(size: number): void {
    if (this.offset + this.length > size) this.#bytes = this.#bytes.subarray(0, Math.max(0, size - this.offset));
  }

  accept(chunk: Uint8Array): void {
    assert(chunk.length <= this.left, `${chunk.length} bytes for a range that lacks ${this.left}`);
    this.#bytes.set(chunk, this.#filled);
    this.#filled += chunk.length;
  }
}
