/** A value that can be reached only while its lock is held. */

import type { Clock } from "./clock.ts";
import type { Held, LockReport, WaitOptions } from "./held.ts";
import { assertSync, CoMutex, type IfSync, MutexHeld } from "./mutex.ts";

/**
 * State inside its lock: caches and tables of a driver are handed out with the lock and only with it, so that touching them without
 * it does not compile. Values that share one lock may be guarded by the same `CoMutex`.
 */
export class Guarded<T> {
  readonly mutex: CoMutex;
  readonly #place: { value: T };

  /** `lock`: a mutex, or the name of a new one, which takes `clock` for its reports. */
  constructor(lock: CoMutex | string, value: T, clock?: Clock) {
    this.mutex = typeof lock === "string" ? new CoMutex(lock, clock) : lock;
    this.#place = { value };
  }

  get locked(): boolean {
    return this.mutex.locked;
  }

  /** Waits for its turn; rejects with the signal's reason. */
  async lock(options?: WaitOptions): Promise<GuardedHeld<T>> {
    const held = new GuardedHeld(this.mutex, options?.who, this.#place);
    await this.mutex.lockFor(held, options);
    return held;
  }

  /**
   * Runs `section` at once, as the holder, if nobody is inside the lock; else answers `undefined` and runs nothing. Throws within a section
   * of the same lock. No promise may leave the section: most such calls don't compile, the others are asserted.
   */
  runSync<R>(section: (value: T, held: Held) => R, ..._check: IfSync<R>): { readonly value: R } | undefined {
    const mutex = this.mutex;
    const held = mutex.beginSection();
    if (held === undefined) return undefined;
    try {
      return { value: assertSync(section(this.#place.value, held), mutex.name) };
    } finally {
      mutex.endSection(held);
    }
  }

  inspect(): LockReport {
    return this.mutex.inspect();
  }
}

/** Access to the value while the lock is held. */
export class GuardedHeld<T> extends MutexHeld {
  readonly #place: { value: T };

  /** @internal Only `Guarded` makes them. */
  constructor(mutex: CoMutex, who: { toString(): string } | undefined, place: { value: T }) {
    super(mutex, who);
    this.#place = place;
  }

  /** Throws once the lock is released, and while its owner sleeps in a `CoQueue`. */
  get value(): T {
    this.#assertHeld();
    return this.#place.value;
  }

  /** Puts another value behind the lock, for this holder and all later ones. */
  replace(value: T): void {
    this.#assertHeld();
    this.#place.value = value;
  }

  #assertHeld(): void {
    if (this.released)
      throw new Error(`assertion failed: the value behind lock "${this.mutex.name}" is used while the lock is ${this.state}`);
  }
}
