/** The gate of a node: counts requests in flight, and keeps new ones out while someone needs the node for itself. */

import type { LockReport, WaitOptions } from "../coroutine/held.ts";
import { touch } from "../coroutine/witness.ts";

interface Waiter {
  readonly resume: () => void;
  readonly who: string;
}

/** Requests that complete in the turn in which they began are never counted: nobody can see them. */
export class RequestGate {
  readonly #name: string;
  #closers = 0;
  #inFlight = 0;
  readonly #entering = new Set<Waiter>();
  readonly #draining = new Set<Waiter>();

  constructor(name: string) {
    this.#name = name;
  }

  /** Who decides by it calls `touch` in the same turn. */
  get open(): boolean {
    return this.#closers === 0;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Counts a request that goes on after this turn; `leave` must follow. */
  begin(): void {
    this.touch();
    this.#inFlight++;
  }

  leave(): void {
    this.touch();
    this.#inFlight--;
    if (this.#inFlight > 0) return;
    resumeAll(this.#draining);
  }

  /** Waits until the gate is open, first come first served; rejects with the signal's reason. */
  async enter(options: WaitOptions | undefined): Promise<void> {
    while (!this.open) await waitIn(this.#entering, options, this);
  }

  /** Keeps new requests out until the result is disposed; requests in flight go on. */
  close(): Disposable {
    this.#closers++;
    this.touch();
    let closed = true;
    return {
      [Symbol.dispose]: () => {
        if (!closed) return;
        closed = false;
        this.touch();
        this.#closers--;
        if (this.open) resumeAll(this.#entering);
      },
    };
  }

  /** Resolves when no request is in flight; rejects with the signal's reason. */
  async idle(options?: WaitOptions): Promise<void> {
    touch(this, "write");
    while (this.#inFlight > 0) await waitIn(this.#draining, options, this);
  }

  /** Tells the witness that a request looks at the gate, comes or goes. While it is open and nobody waits for it to be idle, none of them sees another. */
  touch(): void {
    touch(this, this.open && this.#draining.size === 0 ? "add" : "write");
  }

  inspect(): LockReport {
    return { name: `${this.#name} gate`, holders: [], waiters: Array.from(this.#entering, ({ who }) => ({ who, waitedMs: 0 })) };
  }
}

/** Lets all that wait now go on; who waits again waits for the next time. */
function resumeAll(waiters: Set<Waiter>): void {
  const resumed = [...waiters];
  waiters.clear();
  for (const waiter of resumed) waiter.resume();
}

function waitIn(waiters: Set<Waiter>, options: WaitOptions | undefined, gate: object): Promise<void> {
  const signal = options?.signal;
  signal?.throwIfAborted();
  touch(gate, "write");
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      touch(gate, "write");
      waiters.delete(waiter);
      reject(signal?.reason as Error);
    };
    const waiter: Waiter = {
      who: String(options?.who ?? "request"),
      resume: () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      },
    };
    waiters.add(waiter);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
