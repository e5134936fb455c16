/** One file of a `TestStorage`: its bytes now, and its bytes after a power cut. */

/** Grows with the writes past its end; what lies between reads as zeros. */
export class TestFile {
  #bytes: Uint8Array;
  #size: number;
  #durable: Uint8Array;

  constructor(content: Uint8Array) {
    this.#bytes = content.slice();
    this.#size = content.length;
    this.#durable = content.slice();
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

  fill(offset: number, length: number, byte: number): void {
    this.#reach(offset + length);
    this.#bytes.fill(byte, offset, offset + length);
  }

  resize(size: number): void {
    if (size > this.#size) return this.#reach(size);
    this.#bytes.fill(0, size, this.#size);
    this.#size = size;
  }

  /** A flush that began when the file was `snapshot` has completed. */
  makeDurable(snapshot: Uint8Array): void {
    this.#durable = snapshot;
  }

  /** What is left after a power cut: the last flushed bytes. */
  get durable(): Uint8Array {
    return this.#durable;
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
