/** A sparse image in memory. */

import { isZero } from "../binary/zeros.ts";
import { touch } from "../coroutine/witness.ts";
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
  #sorted: Float64Array | undefined;
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
    touch(this, "read");
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

  status(offset: number, length: number): RunStatus {
    this.#check();
    const sorted = this.#sortedPages();
    const wanted = pageIndexOf(offset);
    let place = firstAtLeast(sorted, wanted);
    if (sorted[place] !== wanted) return { kind: "zero", length: Math.min(length, (sorted[place] ?? Infinity) * PAGE_SIZE - offset) };
    let end = (wanted + 1) * PAGE_SIZE;
    while (end < offset + length && sorted[++place] === end / PAGE_SIZE) end += PAGE_SIZE;
    return { kind: "data", length: Math.min(length, end - offset) };
  }

  /** There is no storage that could be flushed. */
  flush(): void {
    this.#check();
  }

  async resize(size: number, options: ResizeOptions): Promise<void> {
    if (size < this.#size) {
      if (!options.shrink)
        throw new BlockError("NOT_ALLOWED", `shrinking from ${this.#size} to ${size} bytes loses data and was not asked for`);
      this.#clear(size, this.#size - size);
    }
    touch(this, "write");
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
    if (start <= pageStart && end >= pageEnd) {
      if (this.#pages.delete(pageIndex)) this.#sorted = undefined;
    } else this.#pages.get(pageIndex)?.fill(0, Math.max(start - pageStart, 0), end - pageStart);
  }

  #page(pageIndex: number): Uint8Array {
    const existing = this.#pages.get(pageIndex);
    if (existing !== undefined) return existing;
    const page = new Uint8Array(PAGE_SIZE);
    this.#pages.set(pageIndex, page);
    this.#sorted = undefined;
    return page;
  }

  /** Indices of the pages that exist, kept until one comes or goes. */
  #sortedPages(): Float64Array {
    this.#sorted ??= Float64Array.from(this.#pages.keys()).sort();
    return this.#sorted;
  }

  #reach(end: number): void {
    if (end <= this.#size) return;
    touch(this, "write");
    this.#size = end;
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
  for (let done = 0; done < length;) {
    const pageIndex = pageIndexOf(offset + done);
    const start = offset + done - pageIndex * PAGE_SIZE;
    const partLength = Math.min(PAGE_SIZE - start, length - done);
    visit({ pageIndex, start, length: partLength, done });
    done += partLength;
  }
}

/** Place of the first number that is not below `wanted`; the length where all are. */
function firstAtLeast(sorted: Float64Array, wanted: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((sorted[middle] ?? Infinity) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

function pageIndexOf(offset: number): number {
  return Math.floor(offset / PAGE_SIZE);
}
