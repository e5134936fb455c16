/** A file on a web server as an image: small reads through pages, long ones right into the reader's buffer. */

import { type BlockImage, type ImageLimits, type IoOptions, type MaybePromise, TaskGroup } from "@coblock/core";
import { PageCache } from "./page-cache.ts";
import { ReadAhead } from "./read-ahead.ts";
import type { RemoteFile } from "./remote-file.ts";
import type { HttpSettings } from "./settings.ts";

/** From this length on, bytes, a read is worth requests of its own and would only push others out of the cache. */
const DIRECT_LENGTH = 128 * 1024;
/** Longest range of such a read. It goes into the reader's own memory. */
const MAX_DIRECT_LENGTH = 2 * 1024 * 1024;

export class HttpImage implements BlockImage {
  readonly size: number;
  readonly limits: ImageLimits = { requestAlignment: 1, optimalTransfer: MAX_DIRECT_LENGTH };
  readonly identity: string;
  readonly fileName: string;
  readonly #file: RemoteFile;
  readonly #pages: PageCache;
  readonly #ahead: ReadAhead;
  readonly #connections: number;

  /** `head`: the first bytes, which opening brought. */
  constructor(file: RemoteFile, head: Uint8Array, { url, name, readaheadLength, cacheLength, connections }: HttpSettings) {
    this.#file = file;
    this.size = file.size;
    this.identity = url.href;
    this.fileName = name;
    this.#pages = new PageCache(file, cacheLength);
    this.#pages.seed(head);
    this.#ahead = new ReadAhead(readaheadLength);
    this.#connections = connections;
  }

  read(offset: number, into: Uint8Array, options?: IoOptions): MaybePromise<void> {
    const ahead = this.#ahead.after(offset, into.length);
    if (into.length < DIRECT_LENGTH) return this.#pages.read(offset, into, ahead, options?.signal);
    if (into.length <= MAX_DIRECT_LENGTH) return this.#file.read(offset, () => into, options?.signal);
    return this.#readPieces(offset, into, options?.signal);
  }

  inspect(): object {
    return { ...this.#file.inspect(), cached: this.#pages.length };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pages[Symbol.asyncDispose]();
    this.#file.close();
  }

  async #readPieces(offset: number, into: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const group = new TaskGroup({ signal, limit: this.#connections });
    for (let done = 0; done < into.length; done += MAX_DIRECT_LENGTH) {
      const piece = into.subarray(done, done + MAX_DIRECT_LENGTH);
      const start = offset + done;
      if (!(await group.spawn((stop) => this.#file.read(start, () => piece, stop)))) break;
    }
    await group.close();
  }
}
