/** One file of a `TestStorage`: its bytes now, and its bytes after a power cut. */

import type { PagedBytes } from "./paged-bytes.ts";

/** Grows with the writes past its end; what lies between reads as zeros. */
export class TestFile {
  readonly #bytes: PagedBytes;
  #durable: PagedBytes;

  constructor(content: PagedBytes) {
    this.#bytes = content.copy();
    this.#durable = content.copy();
  }

  get size(): number {
    return this.#bytes.length;
  }

  /** A copy of all bytes. */
  snapshot(): PagedBytes {
    return this.#bytes.copy();
  }

  read(offset: number, into: Uint8Array): void {
    this.#bytes.read(offset, into);
  }

  write(offset: number, from: Uint8Array): void {
    this.#bytes.write(offset, from);
  }

  fill(offset: number, length: number, byte: number): void {
    this.#bytes.fill(offset, length, byte);
  }

  resize(size: number): void {
    this.#bytes.resize(size);
  }

  /** A flush that began when the file was `snapshot` has completed. */
  makeDurable(snapshot: PagedBytes): void {
    this.#durable = snapshot;
  }

  /** What is left after a power cut: the last flushed bytes. */
  get durable(): PagedBytes {
    return this.#durable;
  }
}
