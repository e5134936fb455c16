/** A sparse image in memory. */

import { isZero } from "../binary/zeros.ts";
import type { BlockImage, ImageLimits, ResizeOptions, RunStatus } from "../driver.ts";
import { assert, BlockError } from "../errors.ts";

/** Bytes that are allocated together; what was never written takes nothing. */
const PAGE_SIZE = 64 * 1024;

/** All methods are done when they return. */
export class MemoryImage implements BlockImage {
  readonly limits: ImageLimits = { requestAlignment: 1 };
  readonly growable: boolean;
  /** By page index. A page that is absent reads as zeros; what a page holds behind the end of the image is zero. */
  readonly #pages: Map<number, Uint8Array> = new Map();
  #size: number;
  #closed = false;

  /** `bytes` are copied. */
  constructor(size: number, bytes: Uint8Array, growable: boolean) {
    this.growable = growable;
    this.#size = size;
    for (let offset = 0; offset < bytes.length; offset += PAGE_SIZE) {
      const page = bytes.subarray(offset, offset + PAGE_SIZE);
      if (!isZero(page)) this.write(offset, page);
    }
  }

  get size(): number {
    return this.#size;
  }

  read(offset: number, into: Uint8Array): void {
    this.#check();
    forEachPage(offset, into.length, (part) => {
      const page = this.#pages.get(part.pageIndex);
      const target = into.subarray(part.done, part.done + part.length);
      if (page === undefined) target.fill(0);
      else target.set(page.subarray(part.start, part.start + part.length));
    });
  }

  write(offset: number, from: Uint8Array): void {
    this.#check();
    forEachPage(offset, from.length, (part) => {
      this.#page(part.pageIndex).set(from.subarray(part.done, part.done + part.length), part.start);
    });
    this.#reach(offset + from.length);
  }

  writeZeroes(offset: number, length: number): void {
    this.#clear(offset, length);
    this.#reach(offset + length);
  }

  discard(offset: number, length: number): void {
    this.#clear(offset, length);
  }

  /** Equal neighbours are joined: only pages that exist are visited. */
  status(offset: number, length: number): RunStatus {
    this.#check();
    const kind = this.#pages.has(pageIndexOf(offset)) ? "data" : "zero";
    const lastPage = pageIndexOf(offset + length - 1);
    let pageIndex = pageIndexOf(offset) + 1;
    if (kind === "zero" && lastPage - pageIndex > this.#pages.size) pageIndex = Math.min(this.#nextPage(pageIndex), lastPage + 1);
    while (pageIndex <= lastPage && this.#pages.has(pageIndex) === (kind === "data")) pageIndex++;
    return { kind, length: Math.min(length, pageIndex * PAGE_SIZE - offset) };
  }

  /** There is no storage that could be flushed. */
  flush(): void {
    this.#check();
  }

  async resize(size: number, options: ResizeOptions): Promise<void> {
    if (size < this.#size) {
      if (!options.shrink) throw new BlockError("NOT_ALLOWED", `shrinking from ${this.#size} to ${size} bytes loses data and was not asked for`);
      this.#clear(size, this.#size - size);
    }
    this.#size = size;
  }

  allocatedSize(): number {
    return this.#pages.size * PAGE_SIZE;
  }

  inspect(): object {
    return { size: this.#size, pages: this.#pages.size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#pages.clear();
  }

  #clear(offset: number, length: number): void {
    this.#check();
    // A range of far more pages than there are is cleared page by existing page.
    if (length / PAGE_SIZE > this.#pages.size) {
      for (const pageIndex of this.#pages.keys()) this.#clearWithin(pageIndex, offset, offset + length);
      return;
    }
    forEachPage(offset, length, (part) => this.#clearWithin(part.pageIndex, offset, offset + length));
  }

  #clearWithin(pageIndex: number, start: number, end: number): void {
    const pageStart = pageIndex * PAGE_SIZE;
    const pageEnd = Math.min(pageStart + PAGE_SIZE, this.#size);
    if (start >= pageEnd || end <= pageStart) return;
    if (start <= pageStart && end >= pageEnd) this.#pages.delete(pageIndex);
    else this.#pages.get(pageIndex)?.fill(0, Math.max(start - pageStart, 0), end - pageStart);
  }

  #page(pageIndex: number): Uint8Array {
    const existing = this.#pages.get(pageIndex);
    if (existing !== undefined) return existing;
    const page = new Uint8Array(PAGE_SIZE);
    this.#pages.set(pageIndex, page);
    return page;
  }

  /** The first page at or behind `pageIndex`; Infinity where there is none. */
  #nextPage(pageIndex: number): number {
    let next = Infinity;
    for (const existing of this.#pages.keys()) if (existing >= pageIndex && existing < next) next = existing;
    return next;
  }

  #reach(end: number): void {
    if (end > this.#size) this.#size = end;
  }

  #check(): void {
    assert(!this.#closed, "an image in memory is used after it was closed");
  }
}

interface PagePart {
  readonly pageIndex: number;
  /** Offset within the page, bytes. */
  readonly start: number;
  readonly length: number;
  /** Bytes of the request before this part. */
  readonly done: number;
}

function forEachPage(offset: number, length: number, visit: (part: PagePart) => void): void {
  for (let done = 0; done < length; ) {
    const pageIndex = pageIndexOf(offset + done);
    const start = offset + done - pageIndex * PAGE_SIZE;
    const partLength = Math.min(PAGE_SIZE - start, length - done);
    visit({ pageIndex, start, length: partLength, done });
    done += partLength;
  }
}

function pageIndexOf(offset: number): number {
  return Math.floor(offset / PAGE_SIZE);
}
