/** How many allocating requests an image takes at one time, and the plug that keeps them all out. */

import type { WaitOptions } from "../coroutine/held.ts";
import { touch } from "../coroutine/witness.ts";

interface Waiter {
  readonly who: string;
  grant(slot: Disposable): void;
}

/** Comes before range claims: whoever holds a slot may wait for a claim, never the other way round. */
export class AllocationSlots {
  /** Requests at one time. */
  limit: number = Number.POSITIVE_INFINITY;
  #taken = 0;
  #plugs = 0;
  #waiters: Waiter[] = [];
  #idle: (() => void)[] = [];

  /** Whether `tryEnter` would answer a slot. */
  get free(): boolean {
    touch(this, "read");
    return this.#waiters.length === 0 && this.#hasRoom();
  }

  tryEnter(): Disposable | undefined {
    touch(this, "write");
    return this.#waiters.length === 0 && this.#hasRoom() ? this.#take() : undefined;
  }

  /** First come first served; rejects with the signal's reason. */
  enter(options: WaitOptions | undefined): Promise<Disposable> {
    const signal = options?.signal;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error);
      const abort = (): void => {
        touch(this, "write");
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal?.reason as Error);
      };
      const waiter: Waiter = {
        who: String(options?.who ?? "request"),
        grant: (slot) => {
          signal?.removeEventListener("abort", abort);
          resolve(slot);
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiters.push(waiter);
      this.#admit();
    });
  }

  /** Lets the allocating requests end and keeps new ones out until the result is disposed. */
  async plug(): Promise<Disposable> {
    touch(this, "write");
    this.#plugs++;
    while (this.#taken > 0) await new Promise<void>((resume) => this.#idle.push(resume));
    let plugged = true;
    return {
      [Symbol.dispose]: () => {
        if (!plugged) return;
        plugged = false;
        this.#plugs--;
        this.#admit();
      },
    };
  }

  inspect(): { readonly taken: number; readonly plugged: boolean; readonly waiting: readonly string[] } {
    return { taken: this.#taken, plugged: this.#plugs > 0, waiting: this.#waiters.map(({ who }) => who) };
  }

  #hasRoom(): boolean {
    return this.#plugs === 0 && this.#taken < this.limit;
  }

  #admit(): void {
    touch(this, "write");
    while (this.#hasRoom()) {
      const waiter = this.#waiters.shift();
      if (waiter === undefined) return;
      waiter.grant(this.#take());
    }
  }

  #take(): Disposable {
    this.#taken++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#taken--;
        this.#admit();
        if (this.#taken > 0) return;
        const idle = this.#idle;
        this.#idle = [];
        for (const resume of idle) resume();
      },
    };
  }
}
