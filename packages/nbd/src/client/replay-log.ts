/** Changes that a server has answered and not yet flushed: what must be sent again if it loses its memory. */

import type { Operation } from "./operation.ts";

/** Bytes and changes from which on a flush is due, so that the log stays short. */
const FLUSH_LENGTH = 16 * 1024 * 1024;
const FLUSH_COUNT = 16 * 1024;

export class ReplayLog {
  readonly #changes: Operation[] = [];
  #bytes = 0;
  /** Changes that flushes have taken off, since the beginning. */
  #flushed = 0;

  /** What to send again, in the order in which it was answered. */
  get changes(): readonly Operation[] {
    return this.#changes;
  }

  /** Whether the log should be shortened by a flush. */
  get full(): boolean {
    return this.#bytes >= FLUSH_LENGTH || this.#changes.length >= FLUSH_COUNT;
  }

  /** Changes so far: to be asked for when a flush begins. */
  get mark(): number {
    return this.#flushed + this.#changes.length;
  }

  /** Bytes are copied: the caller's buffer is the caller's again. */
  add(operation: Operation): void {
    const { payload } = operation;
    this.#changes.push(payload === undefined ? operation : { ...operation, payload: Uint8Array.prototype.slice.call(payload) });
    this.#bytes += payload?.length ?? 0;
  }

  /** A flush that began at `mark` has succeeded. */
  flushed(mark: number): void {
    const count = Math.max(0, mark - this.#flushed);
    for (const { payload } of this.#changes.splice(0, count)) this.#bytes -= payload?.length ?? 0;
    this.#flushed += count;
  }
}
