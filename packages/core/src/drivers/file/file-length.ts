/** How long a file is while several requests make it longer. */

/** Bytes. Both numbers only grow, but for `set`. */
export class FileLength {
  #size: number;
  #reserved: number;

  constructor(size: number) {
    this.#size = size;
    this.#reserved = size;
  }

  /** The end of what was written, or held by the file when it was opened. */
  get size(): number {
    return this.#size;
  }

  /** Behind it no request has ever written, not even one that is in flight or has failed: there the file may be cut. */
  get reserved(): number {
    return this.#reserved;
  }

  /** A request that may write up to `end` begins. */
  begin(end: number): void {
    if (end > this.#reserved) this.#reserved = end;
  }

  /** The file is known to reach up to `end`. */
  reached(end: number): void {
    this.begin(end);
    if (end > this.#size) this.#size = end;
  }

  /** The file was resized, with no request in flight. */
  set(size: number): void {
    this.#size = size;
    this.#reserved = size;
  }
}
