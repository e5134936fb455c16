/** One coroutine that waits: it is woken once, or gives up when its signal aborts. */

import type { Clock } from "./clock.ts";
import type { WaitOptions } from "./held.ts";

/**
 * What locks, queues and sleeps keep of a coroutine that waits. Internal to this folder.
 *
 * Whoever comes first decides: `wake`, or the signal. A waiter that was woken stays woken even if its signal aborts before it runs
 * again, so that a wake-up is never given to somebody who has left.
 */
export class Waiter<Value = void> {
  readonly who: { toString(): string } | undefined;
  /** By the clock that was given, milliseconds. */
  readonly sinceMs: number;
  /** Fulfilled by `wake`, always in a later microtask and never inside the waker; rejected with the signal's reason. */
  readonly ended: Promise<Value>;
  #resolve: ((value: Value) => void) | undefined;

  /** `gaveUp` is called inside the abort, before `ended` rejects: the place to leave a list. The signal must not have aborted yet. */
  constructor(options: WaitOptions | undefined, clock: Clock | undefined, gaveUp: (waiter: Waiter<Value>) => void) {
    const signal = options?.signal;
    this.who = options?.who;
    this.sinceMs = clock?.now() ?? 0;
    this.ended = new Promise<Value>((resolve, reject) => {
      if (signal === undefined) {
        this.#resolve = resolve;
        return;
      }
      const abort = (): void => {
        this.#resolve = undefined;
        gaveUp(this);
        reject(signal.reason);
      };
      this.#resolve = (value) => {
        signal.removeEventListener("abort", abort);
        resolve(value);
      };
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  /** Ends the wait; `false` if it had ended already, by an abort. */
  wake(value: Value): boolean {
    const resolve = this.#resolve;
    if (resolve === undefined) return false;
    this.#resolve = undefined;
    resolve(value);
    return true;
  }

  /** A line for `inspect()`. */
  report(clock: Clock | undefined): { readonly who: string; readonly waitedMs: number } {
    return { who: nameOf(this.who), waitedMs: elapsedMs(clock, this.sinceMs) };
  }
}

/** How `inspect()` prints a coroutine that gave no name. */
export function nameOf(who: { toString(): string } | undefined): string {
  return who === undefined ? "(unnamed)" : String(who);
}

/** Milliseconds since `sinceMs`; 0 without a clock. */
export function elapsedMs(clock: Clock | undefined, sinceMs: number): number {
  return clock === undefined ? 0 : clock.now() - sinceMs;
}
