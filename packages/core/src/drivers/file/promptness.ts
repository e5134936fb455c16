/** Whether calls that may block are still quick enough for the main thread. */

import type { Clock } from "../../coroutine/clock.ts";

/** A call that took longer than that has waited for something slow: throttled writeback, a journal, a network. */
const SLOW_MS = 20;
/** Calls that go to the thread pool after a slow one. Counted, not timed, so that a replay is a replay. */
const CALLS_IN_POOL = 64;

/** Page-cache writes take microseconds until the host decides otherwise: then the event loop must not be the one that waits. */
export class Promptness {
  readonly #clock: Clock;
  #callsInPool = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the next call may be made on the main thread; asking counts it. */
  allows(): boolean {
    if (this.#callsInPool === 0) return true;
    this.#callsInPool--;
    return false;
  }

  /** Makes the call and watches it. */
  run<T>(call: () => T): T {
    const startedMs = this.#clock.now();
    try {
      return call();
    } finally {
      if (this.#clock.now() - startedMs > SLOW_MS) this.#callsInPool = CALLS_IN_POOL;
    }
  }
}
