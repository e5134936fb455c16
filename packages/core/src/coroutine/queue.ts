/** A queue in which coroutines wait until the state that they look at may have changed. */

import { assert } from "../errors.ts";
import type { Clock } from "./clock.ts";
import type { Held, LockReport, WaitOptions } from "./held.ts";
import { MutexHeld } from "./mutex.ts";
import { Waiter } from "./waiter.ts";
import { touch } from "./witness.ts";

/**
 * The condition variable of coroutines, QEMU's CoQueue. Whoever waits looks at its condition under a mutex, waits, and looks again:
 *
 *     while (!state.value.hasRoom) await queue.wait(state, { signal });
 *
 * Whoever changes the condition does so under the same mutex and then wakes. First come first served. A woken coroutine goes on from
 * the microtask queue, never inside the waker.
 */
export class CoQueue {
  readonly name: string;
  readonly #clock: Clock | undefined;
  readonly #waiters: Set<Waiter> = new Set();

  /** Without a clock, `inspect()` reports 0 for all times. */
  constructor(name = "queue", clock?: Clock) {
    this.name = name;
    this.#clock = clock;
  }

  get empty(): boolean {
    touch(this, "read");
    return this.#waiters.size === 0;
  }

  /** Coroutines that wait now. */
  get length(): number {
    touch(this, "read");
    return this.#waiters.size;
  }

  /**
   * Lets `held` (of a `CoMutex` or a `Guarded`) go, sleeps until woken, and takes the lock again before it returns or rejects. An
   * abort ends the sleep alone, not the wait for the lock; it takes no wake-up away from the others. Rejects with the signal's
   * reason; if that had aborted before, without letting go.
   */
  async wait(held: Held, options?: WaitOptions): Promise<void> {
    assert(held instanceof MutexHeld, `queue "${this.name}" is waited in with something that is not a held mutex`);
    assert(held.state === "held", `queue "${this.name}" is waited in with lock "${held.mutex.name}" ${held.state}, not held`);
    options?.signal?.throwIfAborted();
    // First into the queue, then out of the lock: who gets the lock next finds this waiter and can wake it.
    const waiter = this.#enqueue(options);
    held.suspend();
    try {
      await waiter.ended;
    } finally {
      await held.resume();
    }
  }

  /** Sleeps until woken, with no lock: for a condition that is looked at and changed without one, within one turn each. */
  async waitUnlocked(options?: WaitOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    await this.#enqueue(options).ended;
  }

  /** Wakes the coroutine that has waited longest; `false` if none waits. */
  wakeOne(): boolean {
    touch(this, "write");
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      waiter.wake();
      return true;
    }
    return false;
  }

  /** Wakes all that wait now, in the order they came; answers how many. */
  wakeAll(): number {
    touch(this, "write");
    const count = this.#waiters.size;
    for (const waiter of this.#waiters) waiter.wake();
    this.#waiters.clear();
    return count;
  }

  inspect(): LockReport {
    return { name: this.name, holders: [], waiters: Array.from(this.#waiters, (waiter) => waiter.report(this.#clock)) };
  }

  #enqueue(options: WaitOptions | undefined): Waiter {
    touch(this, "write");
    const waiter = new Waiter(options, this.#clock, (ended) => {
      touch(this, "write");
      this.#waiters.delete(ended);
    });
    this.#waiters.add(waiter);
    return waiter;
  }
}
