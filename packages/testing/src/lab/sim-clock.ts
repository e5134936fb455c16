/** Simulated time: it moves only when nothing else can happen. */

import type { Clock, TimerOptions, TouchKind } from "@coblock/core";
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
    this.#touch("time", "read");
    return this.#nowMs;
  }

  wallTime(): number {
    return this.now();
  }

  /** Timers that have neither fired nor been cancelled. */
  get timerCount(): number {
    return this.#timers.length;
  }

  schedule(durationMs: number, run: () => void, _options?: TimerOptions): Disposable {
    const timer: SimTimer = { id: this.#scheduler.nextId(), atMs: this.now() + durationMs, run };
    this.#timers.push(timer);
    return { [Symbol.dispose]: () => this.#remove(timer) };
  }

  yield(): Promise<void> {
    if (this.#scheduler.quiet) return Promise.resolve();
    return new Promise((resolve) => this.#scheduler.add(() => "a coroutine that gave way goes on", resolve));
  }

  /** Lets that many milliseconds pass at once, whatever else could happen: timers that are due fire in their order. */
  elapse(durationMs: number): void {
    this.#touch("time", "write");
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
    this.#touch(`timer ${timer.id}`, "write");
    this.#timers = this.#timers.filter((other) => other !== timer);
  }

  /**
   * Steps that only swap may be skipped, so time and timers count as shared objects. That a timer which fires moves the time needs no
   * touch: it fires where nothing else can happen, and the timers beside it are due at the same time.
   */
  #touch(name: string, kind: TouchKind): void {
    this.#scheduler.touchedRange(name, 0, 1, kind);
  }
}
