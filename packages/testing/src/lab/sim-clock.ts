/** Simulated time: it moves only when nothing else can happen. */

import type { Clock, TimerOptions } from "@coblock/core";
import type { LastResort, Scheduler } from "./scheduler.ts";

interface SimTimer {
  readonly id: number;
  readonly atMs: number;
  run(): void;
}

/** `yield` is an action like any other; of timers that are due at the same time, any may be first. */
export class SimClock implements Clock, LastResort {
  readonly #scheduler: Scheduler;
  #timers: SimTimer[] = [];
  #nowMs = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  now(): number {
    return this.#nowMs;
  }

  /** Timers that have neither fired nor been cancelled. */
  get timerCount(): number {
    return this.#timers.length;
  }

  schedule(durationMs: number, run: () => void, _options?: TimerOptions): Disposable {
    const timer: SimTimer = { id: this.#scheduler.nextId(), atMs: this.#nowMs + durationMs, run };
    this.#timers.push(timer);
    return { [Symbol.dispose]: () => this.#remove(timer) };
  }

  yield(): Promise<void> {
    if (this.#scheduler.quiet) return Promise.resolve();
    return new Promise((resolve) => this.#scheduler.add(() => "a coroutine that gave way goes on", resolve));
  }

  /** Lets that many milliseconds pass at once, whatever else could happen: timers that are due fire in their order. */
  elapse(durationMs: number): void {
    const untilMs = this.#nowMs + durationMs;
    for (;;) {
      const dueMs = Math.min(...this.#timers.map(({ atMs }) => atMs));
      const timer = this.#timers.find(({ atMs }) => atMs === dueMs);
      if (timer === undefined || dueMs > untilMs) break;
      this.#fire(timer);
    }
    this.#nowMs = untilMs;
  }

  next(): readonly { readonly id: number; describe(): string; run(): void }[] {
    const dueMs = Math.min(...this.#timers.map(({ atMs }) => atMs));
    if (dueMs === Infinity) return [];
    return this.#timers
      .filter(({ atMs }) => atMs === dueMs)
      .map((timer) => ({
        id: timer.id,
        describe: () => `time moves on to ${dueMs} ms, a timer fires`,
        run: () => this.#fire(timer),
      }));
  }

  #fire(timer: SimTimer): void {
    this.#remove(timer);
    this.#nowMs = Math.max(this.#nowMs, timer.atMs);
    timer.run();
  }

  #remove(timer: SimTimer): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }
}
