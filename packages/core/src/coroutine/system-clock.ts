/** The clock of the machine. */

import { assert } from "../errors.ts";
import type { Clock, TimerOptions } from "./clock.ts";

/** Longer than that, Node's timers fire at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Real time. A timer keeps the process alive, because somebody may be awaiting what it does (a throttled request); a `background`
 * timer does not, so that an image whose upkeep sleeps never stops a program from ending.
 */
export class SystemClock implements Clock {
  now(): number {
    // Unlike `performance`, which is a module to be loaded, it is there from the start.
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1000 + nanoseconds / 1e6;
  }

  wallTime(): number {
    return Date.now();
  }

  schedule(durationMs: number, run: () => void, options?: TimerOptions): Disposable {
    assert(durationMs >= 0, `a timer of ${durationMs} ms`);
    return new SystemTimer(durationMs, run, options?.background === true);
  }

  yield(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

class SystemTimer implements Disposable {
  readonly #run: () => void;
  readonly #background: boolean;
  #timeout: NodeJS.Timeout;

  constructor(durationMs: number, run: () => void, background: boolean) {
    this.#run = run;
    this.#background = background;
    this.#timeout = this.#arm(durationMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timeout);
  }

  #arm(durationMs: number): NodeJS.Timeout {
    const stepMs = Math.min(durationMs, LONGEST_TIMEOUT_MS);
    const timeout = setTimeout(() => {
      if (stepMs === durationMs) this.#run();
      else this.#timeout = this.#arm(durationMs - stepMs);
    }, stepMs);
    return this.#background ? timeout.unref() : timeout;
  }
}
