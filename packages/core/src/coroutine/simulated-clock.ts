/** A clock whose time moves only when it is told to. */

import { assert } from "../errors.ts";
import type { Clock, TimerOptions } from "./clock.ts";
import { SystemClock } from "./system-clock.ts";

/** Where simulated time begins. */
export interface SimulatedClockOptions {
  /** Milliseconds at which it starts. */
  readonly startMs?: number;
}

/**
 * Time for tests and replays. Timers fire in the order of their times, those of one time in the order they were made, and between
 * two of them every coroutine runs as far as it can: the microtask queue is empty before time moves on.
 */
export class SimulatedClock implements Clock {
  readonly #timers: SimulatedTimer[] = [];
  readonly #eventLoop: SystemClock = new SystemClock();
  #nowMs: number;
  #advancing = false;

  constructor(options: SimulatedClockOptions = {}) {
    this.#nowMs = options.startMs ?? 0;
  }

  /** Timers that have neither fired nor been cancelled. */
  get timerCount(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#nowMs;
  }

  wallTime(): number {
    return this.#nowMs;
  }

  schedule(durationMs: number, run: () => void, options?: TimerOptions): Disposable {
    assert(durationMs >= 0, `a timer of ${durationMs} ms`);
    const timer = new SimulatedTimer(this.#nowMs + durationMs, run, options?.background === true, (ended) => this.#remove(ended));
    const after = this.#timers.findLastIndex((other) => other.atMs <= timer.atMs);
    this.#timers.splice(after + 1, 0, timer);
    return timer;
  }

  /** Goes on in the next microtask: behind everything that could run when it was called, with no time passing. */
  yield(): Promise<void> {
    return Promise.resolve();
  }

  /** Lets `durationMs` pass: see `advanceTo`. */
  advance(durationMs: number): Promise<void> {
    return this.advanceTo(this.#nowMs + durationMs);
  }

  /** Fires all timers up to and including `timeMs`, also those made on the way; throws what a timer throws. */
  async advanceTo(timeMs: number): Promise<void> {
    assert(timeMs >= this.#nowMs, `time goes back from ${this.#nowMs} to ${timeMs} ms`);
    await this.#exclusively(async () => {
      while (await this.#fireNext(timeMs)) continue;
      this.#nowMs = timeMs;
    });
  }

  /**
   * Lets time pass until nothing is left but background timers and those that never fire. `maxTimers` is how many may fire before it
   * throws, so that coroutines that sleep in a circle are seen.
   */
  async runUntilIdle(options: { readonly maxTimers?: number } = {}): Promise<void> {
    const { maxTimers = 100_000 } = options;
    await this.#exclusively(async () => {
      for (let fired = 0; await this.#isBusy(); fired++) {
        assert(fired < maxTimers, `${maxTimers} timers fired and the coroutines still make new ones`);
        await this.#fireNext(Infinity);
      }
    });
  }

  async #exclusively(section: () => Promise<void>): Promise<void> {
    assert(!this.#advancing, "two coroutines move one simulated clock");
    this.#advancing = true;
    try {
      await section();
    } finally {
      this.#advancing = false;
    }
  }

  async #isBusy(): Promise<boolean> {
    await this.#settle();
    return this.#timers.some((timer) => !timer.background && timer.atMs < Infinity);
  }

  async #fireNext(untilMs: number): Promise<boolean> {
    await this.#settle();
    const [timer] = this.#timers;
    if (timer === undefined || timer.atMs > untilMs || timer.atMs === Infinity) return false;
    this.#timers.shift();
    this.#nowMs = timer.atMs;
    timer.run();
    return true;
  }

  /** The event loop turns only when no microtask is left. */
  #settle(): Promise<void> {
    return this.#eventLoop.yield();
  }

  #remove(timer: SimulatedTimer): void {
    const index = this.#timers.indexOf(timer);
    if (index >= 0) this.#timers.splice(index, 1);
  }
}

class SimulatedTimer implements Disposable {
  readonly atMs: number;
  readonly run: () => void;
  readonly background: boolean;
  readonly #cancel: (timer: SimulatedTimer) => void;

  constructor(atMs: number, run: () => void, background: boolean, cancel: (timer: SimulatedTimer) => void) {
    this.atMs = atMs;
    this.run = run;
    this.background = background;
    this.#cancel = cancel;
  }

  [Symbol.dispose](): void {
    this.#cancel(this);
  }
}
