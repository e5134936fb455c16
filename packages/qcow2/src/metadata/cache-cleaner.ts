/** Drops tables that nobody used for a while, so that an idle image gives its memory back. */

import { assert, type Clock, CoQueue, CoSleep, type Guarded, type Held } from "@coblock/core";
import type { Metadata } from "./metadata.ts";

/**
 * Owns one coroutine, which lives while the interval is not 0 and nobody holds it stopped. A round takes the driver lock like every
 * request, and leaves alone what is dirty or pinned (QEMU, "qcow2: Fix cache_clean_timer"). Who replaces or destroys the caches stops it
 * first, which is done when the coroutine has left: it may be asleep, wait for the lock, or hold it.
 */
export class CacheCleaner {
  readonly #state: Guarded<Metadata>;
  readonly #clock: Clock;
  readonly #sleep: CoSleep = new CoSleep();
  /** Who waits for the coroutine to leave. */
  readonly #exit: CoQueue;
  #intervalMs: number;
  /** There is a coroutine. */
  #running = false;
  /** How many hold it stopped. */
  #stops = 0;

  /** `intervalMs` from the end of one round to the next; 0: none. */
  constructor(state: Guarded<Metadata>, clock: Clock, intervalMs: number) {
    this.#state = state;
    this.#clock = clock;
    this.#exit = new CoQueue("exit of the cache cleaner", clock);
    this.#intervalMs = intervalMs;
    this.#start();
  }

  /** While it is stopped; counts from when it goes on. */
  changeInterval(intervalMs: number): void {
    assert(this.#stops > 0 && !this.#running, "the interval of a cache cleaner changes while it runs");
    this.#intervalMs = intervalMs;
  }

  /**
   * When it returns no coroutine is there, and none starts until the result is disposed. `held`: the driver lock, for a caller that
   * holds it; it is let go while the coroutine leaves, if that has to be waited for, so state that was read before is to be read again.
   */
  async stop(held?: Held): Promise<Disposable> {
    this.#stops++;
    this.#sleep.wake();
    while (this.#running) await (held === undefined ? this.#exit.waitUnlocked() : this.#exit.wait(held));
    let stopped = true;
    return {
      [Symbol.dispose]: () => {
        if (!stopped) return;
        stopped = false;
        this.#stops--;
        this.#start();
      },
    };
  }

  get #mayRun(): boolean {
    return this.#intervalMs > 0 && this.#stops === 0;
  }

  #start(): void {
    if (!this.#mayRun) return;
    assert(!this.#running, "a second cache cleaner starts");
    this.#running = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (this.#mayRun) {
        await this.#sleep.sleep(this.#clock, this.#intervalMs, { background: true });
        if (this.#mayRun) await this.#clean();
      }
    } finally {
      this.#running = false;
      this.#exit.wakeAll();
    }
  }

  async #clean(): Promise<void> {
    using guard = await this.#state.lock({ who: "cache cleaner" });
    if (!this.#mayRun) return;
    const { l2, writable } = guard.value;
    l2.slices.evictUnused();
    writable?.refcounts.blocks.evictUnused();
  }
}
