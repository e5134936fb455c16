/** Bytes that are cheap to copy: copies share their pages until one of them changes. */

/** Small enough that a write to a shared page costs little, large enough that a page is found quickly. */
const PAGE_SIZE = 16_384;

/** The content of a file. What was never written is zeros, and takes no room. */
export class PagedBytes {
  /** Those that are missing are zeros. The last may be shorter than it could be: what it lacks is zeros, too. */
  readonly #pages: (Uint8Array | undefined)[];
  /** Numbers of the pages that nobody else has. They are of full length. */
  readonly #own: Set<number> = new Set();
  #length: number;

  private constructor(pages: (Uint8Array | undefined)[], length: number) {
    this.#pages = pages;
    this.#length = length;
  }

  /** Keeps a copy of the content. */
  static from(content: Uint8Array): PagedBytes {
    const kept = new Uint8Array(content);
    const pages: Uint8Array[] = [];
    for (let start = 0; start < kept.length; start += PAGE_SIZE) pages.push(kept.subarray(start, start + PAGE_SIZE));
    return new PagedBytes(pages, kept.length);
  }

  static zeros(length: number): PagedBytes {
    return new PagedBytes([], length);
  }

  get length(): number {
    return this.#length;
  }

  /** The same bytes, of which neither sees what becomes of the other's. */
  copy(): PagedBytes {
    this.#own.clear();
    return new PagedBytes([...this.#pages], this.#length);
  }

  /** Copies what is here from `offset` on; the rest of `into` stays as it is. */
  read(offset: number, into: Uint8Array): void {
    const end = Math.min(offset + into.length, this.#length);
    for (let at = offset; at < end;) {
      const start = at % PAGE_SIZE;
      const next = Math.min(end, at - start + PAGE_SIZE);
      const bytes = this.#pages[(at - start) / PAGE_SIZE]?.subarray(start, start + next - at) ?? NOTHING;
      into.set(bytes, at - offset);
      if (bytes.length < next - at) into.fill(0, at - offset + bytes.length, next - offset);
      at = next;
    }
  }

  /** Grows with what is written past the end; what lies between is zeros. */
  write(offset: number, from: Uint8Array): void {
    this.#change(offset, from.length, (page, start, at, length) => page.set(from.subarray(at, at + length), start));
  }

  /** The same with one byte, `length` times. */
  fill(offset: number, length: number, byte: number): void {
    this.#change(offset, length, (page, start, _at, part) => page.fill(byte, start, start + part));
  }

  /** New bytes are zeros. */
  resize(length: number): void {
    if (length < this.#length) {
      this.#pages.length = Math.min(this.#pages.length, Math.ceil(length / PAGE_SIZE));
      const end = Math.min(this.#length, Math.ceil(length / PAGE_SIZE) * PAGE_SIZE);
      if (this.#pages[Math.floor(length / PAGE_SIZE)] !== undefined) this.fill(length, end - length, 0);
      for (const number of this.#own) if (number >= this.#pages.length) this.#own.delete(number);
    }
    this.#length = length;
  }

  /** All of them, in an array of their own. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    for (const [number, page] of this.#pages.entries())
      if (page !== undefined) bytes.set(page.subarray(0, this.#length - number * PAGE_SIZE), number * PAGE_SIZE);
    return bytes;
  }

  /** `change` is given each page, where in it to begin, how much is done, and how much to do. */
  #change(offset: number, length: number, change: (page: Uint8Array, start: number, done: number, length: number) => void): void {
    const end = offset + length;
    this.#length = Math.max(this.#length, end);
    for (let at = offset; at < end;) {
      const start = at % PAGE_SIZE;
      const part = Math.min(end - at, PAGE_SIZE - start);
      change(this.#ownPage((at - start) / PAGE_SIZE), start, at - offset, part);
      at += part;
    }
  }

  #ownPage(number: number): Uint8Array {
    const page = this.#pages[number];
    if (page !== undefined && this.#own.has(number)) return page;
    const own = new Uint8Array(PAGE_SIZE);
    if (page !== undefined) own.set(page);
    this.#pages[number] = own;
    this.#own.add(number);
    return own;
  }
}

const NOTHING = new Uint8Array(0);
