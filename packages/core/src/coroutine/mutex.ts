/** A fair mutex for coroutines, and the proof that one holds it. */

import { Mutex } from "async-mutex";

import { assert } from "../errors.ts";
import type { Clock } from "./clock.ts";
import type { Held, LockReport, WaitOptions } from "./held.ts";
import { elapsedMs, nameOf, Waiter } from "./waiter.ts";
import { touch } from "./witness.ts";

/**
 * Asks for an argument that nobody has where `R` is a promise, a union with one, or `any`: such a section would go on after its lock
 * was let go. What types cannot see (`unknown`, an async function passed as `() => void`) is asserted when it runs.
 */
export type IfSync<R> = [Extract<R, PromiseLike<unknown>>] extends [never] ? [] : [error: "a promise must not leave a synchronous section"];

/**
 * Mutual exclusion between coroutines: first come first served, and a release hands the lock to the next in line, so no coroutine
 * overtakes another. It does not nest: a coroutine that locks a mutex which it holds waits for itself forever.
 *
 * JavaScript runs one coroutine at a time, so where nobody is inside a section without `await` is exclusive already: `runSync` marks the
 * lock as held and runs it, with no promise made. One to whom the lock is promised, and who has not gone on since, is not inside yet: the
 * section comes before it. So a line that has formed once dissolves again, as those behind it need not join it.
 */
export class CoMutex {
  readonly name: string;
  readonly #mutex: Mutex = new Mutex();
  readonly #clock: Clock | undefined;
  readonly #waiters: Set<Waiter> = new Set();
  #holder: MutexHeld | undefined;
  /** The holder has gone on with the lock. */
  #inside = false;
  #section: MutexHeld | undefined;

  /** Without a clock, `inspect()` reports 0 for all times. */
  constructor(name: string, clock?: Clock) {
    this.name = name;
    this.#clock = clock;
  }

  /** Held by a coroutine, promised to one, or within a synchronous section. */
  get locked(): boolean {
    touch(this, "read");
    return this.#section !== undefined || this.#mutex.isLocked();
  }

  /** Waits for its turn. Rejects with the signal's reason if that aborts before; a lock that was granted stays granted. */
  async lock(options?: WaitOptions): Promise<Held> {
    const held = new MutexHeld(this, options?.who);
    await this.lockFor(held, options);
    return held;
  }

  /** Takes the lock at once if it is free. */
  tryLock(who?: { toString(): string }): Held | undefined {
    touch(this, "write");
    if (this.locked) return undefined;
    const held = new MutexHeld(this, who);
    // A free mutex is taken within the call; the promise only brings the news, and it cannot reject.
    void this.#mutex.acquire();
    this.#grant(held);
    this.#inside = true;
    return held;
  }

  /**
   * Runs `section` at once, as the holder, if nobody is inside; else answers `undefined` and runs nothing. A `lock` that is asked
   * for meanwhile is granted afterwards. Throws within a section of the same lock.
   */
  runSync<R>(section: (held: Held) => R, ..._check: IfSync<R>): { readonly value: R } | undefined {
    const held = this.beginSection();
    if (held === undefined) return undefined;
    try {
      return { value: assertSync(section(held), this.name) };
    } finally {
      this.endSection(held);
    }
  }

  /** Who holds and who waits. A synchronous section counts 0 ms, for it lasts one turn. */
  inspect(): LockReport {
    const holders = [this.#holder, this.#section]
      .filter((held) => held !== undefined)
      .map((held) => ({ who: nameOf(held.who), heldMs: held === this.#section ? 0 : elapsedMs(this.#clock, held.sinceMs) }));
    return { name: this.name, holders, waiters: Array.from(this.#waiters, (waiter) => waiter.report(this.#clock)) };
  }

  /** Takes the lock for `held`, which its caller made. Internal to this folder. */
  async lockFor(held: MutexHeld, options?: WaitOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    touch(this, "write");
    if (this.locked) await this.#lockInTurn(held, options);
    else await this.#lockAtOnce(held);
    this.#inside = true;
  }

  /** Gives up the lock on behalf of `held`. Internal to this folder. */
  unlockFor(held: MutexHeld): void {
    touch(this, "write");
    assert(this.#holder === held, `lock "${this.name}" is released by one who does not hold it`);
    this.#inside = false;
    this.#holder = undefined;
    this.#mutex.release();
  }

  /** `runSync` in two halves, for a caller that brings its own `try`. Internal to this folder. */
  beginSection(): MutexHeld | undefined {
    touch(this, "write");
    if (this.#section !== undefined) throw nestedSection(this.name);
    if (this.#inside) return undefined;
    const held = new MutexHeld(this, "a synchronous section");
    held.state = "section";
    this.#section = held;
    return held;
  }

  /** The other half of `beginSection`. Internal to this folder. */
  endSection(held: MutexHeld): void {
    held.state = "released";
    this.#section = undefined;
  }

  async #lockAtOnce(held: MutexHeld): Promise<void> {
    const acquired = this.#mutex.acquire();
    this.#grant(held);
    await acquired;
  }

  #lockInTurn(held: MutexHeld, options: WaitOptions | undefined): Promise<void> {
    const waiter = new Waiter(options, this.#clock, (ended) => this.#leave(ended));
    this.#waiters.add(waiter);
    // The ticket of a waiter that gave up cannot leave the line: it lets the lock go as soon as it is reached.
    void this.#mutex.acquire().then(() => {
      this.#leave(waiter);
      if (!waiter.wake()) return this.#mutex.release();
      this.#grant(held);
    });
    return waiter.ended;
  }

  #leave(waiter: Waiter): void {
    touch(this, "write");
    this.#waiters.delete(waiter);
  }

  #grant(held: MutexHeld): void {
    held.state = "held";
    held.sinceMs = this.#clock?.now() ?? 0;
    this.#holder = held;
  }
}

/** The proof that a `CoMutex` is held. Its state is changed by the mutex alone. */
export class MutexHeld implements Held {
  readonly mutex: CoMutex;
  readonly who: { toString(): string } | undefined;
  sinceMs = 0;
  /** `asleep`: let go for the time of a `CoQueue.wait`, which takes the lock again. */
  state: "waiting" | "held" | "section" | "asleep" | "released" = "waiting";

  constructor(mutex: CoMutex, who: { toString(): string } | undefined) {
    this.mutex = mutex;
    this.who = who;
  }

  /** True also while its owner sleeps in a `CoQueue`. */
  get released(): boolean {
    return this.state !== "held" && this.state !== "section";
  }

  /** Lets the lock go; what is released already is left as it is. */
  [Symbol.dispose](): void {
    if (this.state === "released") return;
    assert(this.state !== "section", `a synchronous section of lock "${this.mutex.name}" ends by itself`);
    assert(this.state === "held", `lock "${this.mutex.name}" is released while its holder is ${this.state}: a wait was not awaited`);
    this.state = "released";
    this.mutex.unlockFor(this);
  }

  /** Lets the lock go for a while; `resume` follows. */
  suspend(): void {
    this.state = "asleep";
    this.mutex.unlockFor(this);
  }

  /** Takes the lock again, whatever a signal says: what the caller does next, it does under its lock. */
  resume(): Promise<void> {
    return this.mutex.lockFor(this, { who: this.who });
  }
}

function nestedSection(name: string): Error {
  return new Error(`assertion failed: lock "${name}" is entered from within its own synchronous section`);
}

/** The answer of a synchronous section, which must not be a promise. Internal to this folder. */
export function assertSync<R>(value: R, name: string): R {
  if (value instanceof Promise) throw new Error(`assertion failed: a promise leaves a synchronous section of lock "${name}"`);
  return value;
}
