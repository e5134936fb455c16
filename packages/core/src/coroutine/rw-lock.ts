/** A fair lock that many readers or one writer hold. */

import { assert } from "../errors.ts";
import type { Clock } from "./clock.ts";
import type { Held, LockReport, WaitOptions } from "./held.ts";
import { elapsedMs, nameOf, Waiter } from "./waiter.ts";
import { touch } from "./witness.ts";

type Mode = "read" | "write";

/**
 * Readers share, a writer is alone. Tickets are served in the order they came: a run of readers at the head goes in together, and a
 * waiting writer holds back the readers behind it, so nobody starves (as QEMU's CoRwlock since it has tickets; there is no upgrade:
 * release, take the other side, look again). It does not nest, not even for readers: one that reads again while a writer waits would
 * wait for itself.
 */
export class CoRwLock {
  readonly name: string;
  readonly #clock: Clock | undefined;
  readonly #tickets: Map<Waiter<Held>, Mode> = new Map();
  readonly #holders: Set<RwHeld> = new Set();
  #writing = false;

  /** Without a clock, `inspect()` reports 0 for all times. */
  constructor(name: string, clock?: Clock) {
    this.name = name;
    this.#clock = clock;
  }

  /** Held by a reader or a writer. */
  get locked(): boolean {
    touch(this, "read");
    return this.#holders.size > 0;
  }

  /** Waits until no writer holds the lock or came before. Rejects with the signal's reason. */
  read(options?: WaitOptions): Promise<Held> {
    return this.#lock("read", options);
  }

  /** Waits until it is alone and everyone who came before has left. Rejects with the signal's reason. */
  write(options?: WaitOptions): Promise<Held> {
    return this.#lock("write", options);
  }

  inspect(): LockReport {
    return {
      name: this.name,
      holders: Array.from(this.#holders, ({ mode, who, sinceMs }) => ({
        who: `${nameOf(who)} (${mode})`,
        heldMs: elapsedMs(this.#clock, sinceMs),
      })),
      waiters: Array.from(this.#tickets, ([waiter, mode]) => {
        const { who, waitedMs } = waiter.report(this.#clock);
        return { who: `${who} (${mode})`, waitedMs };
      }),
    };
  }

  async #lock(mode: Mode, options: WaitOptions | undefined): Promise<Held> {
    options?.signal?.throwIfAborted();
    touch(this, "write");
    if (this.#tickets.size === 0 && this.#admits(mode)) return this.#grant(mode, options?.who);
    const waiter = new Waiter<Held>(options, this.#clock, (ended) => {
      this.#tickets.delete(ended);
      // It may have been all that stood between the holders and the readers behind it.
      this.#admit();
    });
    this.#tickets.set(waiter, mode);
    return waiter.ended;
  }

  #admits(mode: Mode): boolean {
    return !this.#writing && (mode === "read" || this.#holders.size === 0);
  }

  /** Serves the tickets at the head; holding starts here and not when the coroutine runs, so nobody gets in between. */
  #admit(): void {
    touch(this, "write");
    for (const [waiter, mode] of this.#tickets) {
      if (!this.#admits(mode)) return;
      this.#tickets.delete(waiter);
      waiter.wake(this.#grant(mode, waiter.who));
    }
  }

  #grant(mode: Mode, who: { toString(): string } | undefined): Held {
    const held = new RwHeld(mode, who, this.#clock?.now() ?? 0, (ended) => this.#release(ended));
    this.#holders.add(held);
    this.#writing = mode === "write";
    return held;
  }

  #release(held: RwHeld): void {
    assert(this.#holders.delete(held), `lock "${this.name}" is released by one who does not hold it`);
    this.#writing = false;
    this.#admit();
  }
}

class RwHeld implements Held {
  readonly mode: Mode;
  readonly who: { toString(): string } | undefined;
  readonly sinceMs: number;
  #release: ((held: RwHeld) => void) | undefined;

  constructor(mode: Mode, who: { toString(): string } | undefined, sinceMs: number, release: (held: RwHeld) => void) {
    this.mode = mode;
    this.who = who;
    this.sinceMs = sinceMs;
    this.#release = release;
  }

  get released(): boolean {
    return this.#release === undefined;
  }

  [Symbol.dispose](): void {
    const release = this.#release;
    this.#release = undefined;
    release?.(this);
  }
}
