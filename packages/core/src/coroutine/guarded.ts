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
  readonly #value: T;

  /** `lock`: a mutex, or the name of a new one, which takes `clock` for its reports. */
  constructor(lock: CoMutex | string, value: T, clock?: Clock) {
    this.mutex = typeof lock === "string" ? new CoMutex(lock, clock) : lock;
    this.#value = value;
  }

  get locked(): boolean {
    return this.mutex.locked;
  }

  /** Waits for its turn; rejects with the signal's reason. `value` throws once the lock is released, and while its owner sleeps in a `CoQueue`. */
  async lock(options?: WaitOptions): Promise<Held & { readonly value: T }> {
    const held = new GuardedHeld(this.mutex, options?.who, this.#value);
    await this.mutex.lockFor(held, options);
    return held;
  }

  /**
   * Runs `section` at once, as the holder, if the lock is free; else answers `undefined` and runs nothing. Throws within a section
   * of the same lock. No promise may leave the section: most such calls don't compile, the others are asserted.
   */
  runSync<R>(section: (value: T, held: Held) => R, ..._check: IfSync<R>): { readonly value: R } | undefined {
    const mutex = this.mutex;
    const held = mutex.beginSection();
    if (held === undefined) return undefined;
    try {
      return { value: assertSync(section(this.#value, held), mutex.name) };
    } finally {
      mutex.endSection(held);
    }
  }

  inspect(): LockReport {
    return this.mutex.inspect();
  }
}

class GuardedHeld<T> extends MutexHeld {
  readonly #value: T;

  constructor(mutex: CoMutex, who: { toString(): string } | undefined, value: T) {
    super(mutex, who);
    this.#value = value;
  }

  get value(): T {
    if (this.released)
      throw new Error(`assertion failed: the value behind lock "${this.mutex.name}" is used while the lock is ${this.state}`);
    return this.#value;
  }
}
