/** Files of any size for the fuzz: pages that nobody wrote take no memory. */

const PAGE = 4096;

/** Bytes behind the written ones read as zeros, up to `size` and past it. */
export class SparseBytes {
  readonly #pages: Map<number, Uint8Array> = new Map();
  #size = 0;

  constructor(content: Uint8Array = new Uint8Array(0)) {
    this.write(0, content);
  }

  get size(): number {
    return this.#size;
  }

  /** Cuts off, or adds zeros. */
  resize(size: number): void {
    for (const [index, page] of this.#pages) {
      const kept = size - index * PAGE;
      if (kept <= 0) this.#pages.delete(index);
      else if (kept < PAGE) page.fill(0, kept);
    }
    this.#size = size;
  }

  read(offset: number, into: Uint8Array): void {
    for (let done = 0; done < into.length;) {
      const at = (offset + done) % PAGE;
      const length = Math.min(PAGE - at, into.length - done);
      const page = this.#pages.get((offset + done - at) / PAGE);
      if (page === undefined) into.fill(0, done, done + length);
      else into.set(page.subarray(at, at + length), done);
      done += length;
    }
  }

  write(offset: number, from: Uint8Array): void {
    for (let done = 0; done < from.length;) {
      const at = (offset + done) % PAGE;
      const length = Math.min(PAGE - at, from.length - done);
      this.#page((offset + done - at) / PAGE).set(from.subarray(done, done + length), at);
      done += length;
    }
    this.#size = Math.max(this.#size, offset + from.length);
  }

  copy(): SparseBytes {
    const copy = new SparseBytes();
    for (const [index, page] of this.#pages) copy.#pages.set(index, page.slice());
    copy.#size = this.#size;
    return copy;
  }

  /** What takes memory. */
  *pages(): Generator<{ readonly offset: number; readonly page: Uint8Array }> {
    for (const [index, page] of this.#pages) yield { offset: index * PAGE, page };
  }

  /** The little-endian 64-bit words of a range that are not zero, in order; the range begins at a multiple of the page. */
  *words(offset: number, length: number): Generator<{ readonly index: number; readonly value: bigint }> {
    const first = offset / PAGE;
    const last = Math.ceil((offset + length) / PAGE);
    const present = [...this.#pages.keys()].filter((index) => index >= first && index < last).sort((a, b) => a - b);
    for (const page of present) {
      const bytes = this.#page(page);
      const view = new DataView(bytes.buffer);
      for (let at = 0; at < Math.min(PAGE, offset + length - page * PAGE); at += 8) {
        const value = view.getBigUint64(at, true);
        if (value !== 0n) yield { index: (page * PAGE - offset + at) / 8, value };
      }
    }
  }

  #page(index: number): Uint8Array {
    const page = this.#pages.get(index) ?? new Uint8Array(PAGE);
    this.#pages.set(index, page);
    return page;
  }
}
