/** The pieces of one request, a few at a time: all are settled before the request answers, also when one has failed. */

import { touch } from "../coroutine/witness.ts";
import type { MaybePromise } from "../driver.ts";

const MAX_IN_FLIGHT = 16;

/** Never `Promise.all`: it answers while siblings still write. */
export class PieceTasks {
  readonly #running = new Set<Promise<void>>();
  readonly #failures: unknown[] = [];

  get failed(): boolean {
    touch(this, "read");
    return this.#failures.length > 0;
  }

  /** Starts `piece` now; it may complete synchronously, throw or reject. */
  start(piece: () => MaybePromise<void>): void {
    try {
      const pending = piece();
      if (pending !== undefined) this.follow(pending);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Takes over a piece that was started already. */
  follow(pending: Promise<void>): void {
    touch(this, "write");
    const settled = pending
      .then(undefined, (error: unknown) => this.fail(error))
      .finally(() => {
        touch(this, "write");
        this.#running.delete(settled);
      });
    this.#running.add(settled);
  }

  fail(error: unknown): void {
    touch(this, "write");
    this.#failures.push(error);
  }

  /** Resolves when one more piece may start. */
  async room(): Promise<void> {
    touch(this, "read");
    while (this.#running.size >= MAX_IN_FLIGHT) await Promise.race(this.#running);
  }

  /** Resolves when all have ended, failed or not. */
  async ended(): Promise<void> {
    touch(this, "read");
    while (this.#running.size > 0) await Promise.race(this.#running);
  }

  /** Resolves when all have ended; rejects with the first failure. */
  async settled(): Promise<void> {
    await this.ended();
    if (this.#failures.length > 0) throw this.#failures[0];
  }
}
