/** Steers long work while it runs: pause, go on, and how fast. */

import type { Clock } from "../coroutine/clock.ts";
import type { WaitOptions } from "../coroutine/held.ts";
import { CoSleep } from "../coroutine/sleep.ts";
import { SystemClock } from "../coroutine/system-clock.ts";
import { BlockError } from "../errors.ts";

/**
 * Given to a job by whoever may want to steer it. A piece of work that has begun goes on; the next one waits. Cancelling is the job's
 * `signal`: it ends a pause and a wait for the rate as well.
 */
export class JobControl {
  readonly #clock: Clock;
  readonly #sleepers: Set<CoSleep> = new Set();
  #paused = false;
  #bytesPerSecond: number | undefined;
  /** When the bytes that were let go so far will have had their time. */
  #freeAtMs = 0;

  /** `clock`: default the machine's. */
  constructor(clock: Clock = new SystemClock()) {
    this.#clock = clock;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Bytes a second; `undefined`: as fast as it goes. */
  get rate(): number | undefined {
    return this.#bytesPerSecond;
  }

  /** Throws INVALID_OPTION for what is no positive number. Holds from the next piece on. */
  set rate(bytesPerSecond: number | undefined) {
    if (bytesPerSecond !== undefined && !(bytesPerSecond > 0))
      throw new BlockError("INVALID_OPTION", `a rate of ${bytesPerSecond} bytes a second is not above 0`);
    this.#bytesPerSecond = bytesPerSecond;
    this.#freeAtMs = this.#clock.now();
    this.#wakeAll();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wakeAll();
  }

  /** Internal to jobs: returns when the next `length` bytes may be moved. Rejects with the signal's reason. */
  async admit(length: number, options?: WaitOptions): Promise<void> {
    for (;;) {
      options?.signal?.throwIfAborted();
      const nowMs = this.#clock.now();
      const waitMs = this.#paused ? Infinity : this.#bytesPerSecond === undefined ? 0 : this.#freeAtMs - nowMs;
      if (waitMs <= 0) break;
      await this.#sleep(waitMs, options);
    }
    if (this.#bytesPerSecond !== undefined)
      this.#freeAtMs = Math.max(this.#freeAtMs, this.#clock.now()) + (length / this.#bytesPerSecond) * 1000;
  }

  async #sleep(durationMs: number, options: WaitOptions | undefined): Promise<void> {
    const sleep = new CoSleep();
    this.#sleepers.add(sleep);
    try {
      await sleep.sleep(this.#clock, durationMs, options);
    } finally {
      this.#sleepers.delete(sleep);
    }
  }

  #wakeAll(): void {
    for (const sleep of this.#sleepers) sleep.wake();
  }
}
