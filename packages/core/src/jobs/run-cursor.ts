/** The runs of one disk, asked for in order; behind its end there is nothing, which reads as zeros. */

import type { BlockStatus } from "../extents.ts";

/** What to go through, in bytes: the runs of a disk of `size`, and nothing from there to `end`. */
export interface RunCursorOptions {
  readonly extents: AsyncIterable<BlockStatus>;
  readonly size: number;
  readonly end: number;
}

/** Ask for offsets that only go up, and end it. */
export class RunCursor {
  readonly #extents: AsyncIterator<BlockStatus>;
  readonly #size: number;
  readonly #end: number;
  #current: BlockStatus | undefined;

  constructor({ extents, size, end }: RunCursorOptions) {
    this.#extents = extents[Symbol.asyncIterator]();
    this.#size = size;
    this.#end = end;
  }

  /** The run that `offset` lies in. */
  async at(offset: number): Promise<BlockStatus> {
    while (this.#current === undefined || this.#current.offset + this.#current.length <= offset) this.#current = await this.#next();
    return this.#current;
  }

  async end(): Promise<void> {
    await this.#extents.return?.();
  }

  async #next(): Promise<BlockStatus> {
    const next = await this.#extents.next();
    if (next.done !== true) return next.value;
    return { offset: this.#size, length: Math.max(this.#end - this.#size, 1), depth: 0, kind: "unallocated" };
  }
}

/** Whether the bytes of the run are stored somewhere. */
export function hasData({ kind }: BlockStatus): boolean {
  return kind === "data" || kind === "compressed";
}
