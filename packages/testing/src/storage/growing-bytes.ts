/** Bytes in memory that grow with the writes past their end. */

/** What lies between the old end and a write reads as zeros. Offsets and lengths are bytes. */
export class GrowingBytes {
  #bytes: Uint8Array;
  #size: number;

  constructor(content: Uint8Array) {
    this.#bytes = content.slice();
    this.#size = content.length;
  }

  get size(): number {
    return this.#size;
  }

  /** A copy of all bytes. */
  snapshot(): Uint8Array {
    return this.#bytes.slice(0, this.#size);
  }

  read(offset: number, into: Uint8Array): void {
    into.set(this.#bytes.subarray(offset, offset + into.length));
  }

  write(offset: number, from: Uint8Array): void {
    this.#reach(offset + from.length);
    this.#bytes.set(from, offset);
  }

  resize(size: number): void {
    if (size > this.#size) return this.#reach(size);
    this.#bytes.fill(0, size, this.#size);
    this.#size = size;
  }

  #reach(size: number): void {
    if (size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(size, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#size = Math.max(this.#size, size);
  }
}
