/** Pages of a file that were fetched: those in memory are copied, missing runs are asked for once, whoever else wants them. */

import { setMaxListeners } from "node:events";
import { assert, BlockError, type MaybePromise } from "@coblock/core";
import type { RemoteFile } from "./remote-file.ts";

/** Bytes. */
const PAGE_LENGTH = 4096;
/** Longest range that is fetched at one time, bytes. */
const MAX_RANGE_LENGTH = 1024 * 1024;
const PAGES_PER_RANGE = MAX_RANGE_LENGTH / PAGE_LENGTH;

interface Page {
  /** `undefined`: under way. */
  bytes: Uint8Array | undefined;
  loaded: Promise<void>;
}

/** Memory: `maxLength`, and `MAX_RANGE_LENGTH` for each request under way. */
export class PageCache implements AsyncDisposable {
  readonly #file: RemoteFile;
  readonly #maxLength: number;
  readonly #closing: AbortController = new AbortController();
  /** The one that was used last comes last. */
  readonly #pages: Map<number, Page> = new Map();
  #length = 0;

  constructor(file: RemoteFile, maxLength: number) {
    this.#file = file;
    this.#maxLength = maxLength;
    // Each fetch listens, and any number of them may wait for their turn.
    setMaxListeners(0, this.#closing.signal);
  }

  /** Bytes held. */
  get length(): number {
    return this.#length;
  }

  /** The first bytes of the file, that are known already: a page, or all there is. */
  seed(head: Uint8Array): void {
    if (head.length > 0) this.#store([this.#add(0, Promise.resolve())], head);
  }

  /** Fills `into`, and fetches `ahead` bytes behind it where it has to fetch. An abort ends the wait, not what others may be waiting for. */
  read(offset: number, into: Uint8Array, ahead: number, signal: AbortSignal | undefined): MaybePromise<void> {
    const first = Math.floor(offset / PAGE_LENGTH);
    const last = Math.floor((offset + into.length - 1) / PAGE_LENGTH);
    const pages = this.#present(first, last);
    if (pages !== undefined) return copyPages(pages, offset - first * PAGE_LENGTH, into);
    return this.#fetch(offset, into, { first, last, ahead, signal });
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new BlockError("CLOSED", "the image was closed"));
    await Promise.allSettled([...this.#pages.values()].map(({ loaded }) => loaded));
    this.#pages.clear();
    this.#length = 0;
  }

  async #fetch(
    offset: number,
    into: Uint8Array,
    {
      first,
      last,
      ahead,
      signal,
    }: { readonly first: number; readonly last: number; readonly ahead: number; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    const end = Math.min(this.#file.size, offset + into.length + ahead);
    const pages: Page[] = [];
    for (let index = first; index <= last; index++) {
      const page = this.#pages.get(index) ?? this.#load(index, this.#missing(index, Math.ceil(end / PAGE_LENGTH)));
      this.#touch(index, page);
      pages.push(page);
    }
    await untilAborted(settled(pages), signal);
    copyPages(pages, offset - first * PAGE_LENGTH, into);
  }

  #present(first: number, last: number): Page[] | undefined {
    const pages: Page[] = [];
    for (let index = first; index <= last; index++) {
      const page = this.#pages.get(index);
      if (page?.bytes === undefined) return undefined;
      pages.push(page);
    }
    for (const [index, page] of pages.entries()) this.#touch(first + index, page);
    return pages;
  }

  #touch(index: number, page: Page): void {
    this.#pages.delete(index);
    this.#pages.set(index, page);
  }

  /** Pages from `first` on that are neither here nor under way, up to `end`. */
  #missing(first: number, end: number): number {
    const limit = Math.min(end, first + PAGES_PER_RANGE);
    let next = first + 1;
    while (next < limit && !this.#pages.has(next)) next++;
    return next - first;
  }

  /** Starts to fetch a run; answers its first page. */
  #load(first: number, count: number): Page {
    const offset = first * PAGE_LENGTH;
    const length = Math.min(count * PAGE_LENGTH, this.#file.size - offset);
    let buffer = new Uint8Array();
    const room = (): Uint8Array => (buffer = new Uint8Array(length));
    const arrived: Promise<void> = this.#file.read(offset, room, this.#closing.signal).then(
      () => this.#store(pages, buffer),
      (error: unknown) => {
        for (let index = first; index < first + count; index++) this.#pages.delete(index);
        throw error;
      },
    );
    // Readers hear of a failure; where all have left, nobody needs to.
    arrived.catch(() => {});
    const pages: readonly Page[] = Array.from({ length: count }, (_, index) => this.#add(first + index, arrived));
    return pages[0] ?? this.#add(first, arrived);
  }

  #add(index: number, loaded: Promise<void>): Page {
    const page: Page = { bytes: undefined, loaded };
    this.#pages.set(index, page);
    return page;
  }

  /** Each page has memory of its own: one that stays must not keep a whole range. */
  #store(pages: readonly Page[], bytes: Uint8Array): void {
    for (const [index, page] of pages.entries()) {
      page.bytes = pages.length === 1 ? bytes : bytes.slice(index * PAGE_LENGTH, (index + 1) * PAGE_LENGTH);
      this.#length += page.bytes.length;
    }
    for (const [index, page] of this.#pages) {
      if (this.#length <= this.#maxLength) return;
      if (page.bytes === undefined) continue;
      this.#pages.delete(index);
      this.#length -= page.bytes.length;
    }
  }
}

async function settled(pages: readonly Page[]): Promise<void> {
  const ends = await Promise.allSettled(new Set(pages.map(({ loaded }) => loaded)));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

function untilAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function copyPages(pages: readonly Page[], skip: number, into: Uint8Array): void {
  let from = skip;
  let done = 0;
  for (const { bytes } of pages) {
    assert(bytes !== undefined, "a page that was waited for is there");
    const piece = bytes.subarray(from, from + into.length - done);
    into.set(piece, done);
    done += piece.length;
    from = 0;
  }
}
