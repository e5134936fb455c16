/** Fairness to the event loop: how much may be served synchronously before timers, signals and sockets get a turn. */

import type { Clock } from "../coroutine/clock.ts";

const COMPLETIONS_PER_TURN = 128;
const BYTES_PER_TURN = 1024 * 1024;
/** What `spend` answers while the turn may go on: callers in a loop need not await it. */
export const SAME_TURN: Promise<void> = Promise.resolve();

/** One for all nodes of a graph: they share the event loop. */
export class TurnBudget {
  readonly #clock: Clock;
  #completions = 0;
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be returned for a request of `length` bytes that completed synchronously: done already, or after a turn of the event loop. */
  spend(length: number): Promise<void> {
    this.#completions++;
    this.#bytes += length;
    if (this.#completions < COMPLETIONS_PER_TURN && this.#bytes < BYTES_PER_TURN) return SAME_TURN;
    this.#completions = 0;
    this.#bytes = 0;
    return this.#clock.yield();
  }
}
