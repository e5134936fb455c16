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
  #entering: Waiter[] = [];
  #draining: (() => void)[] = [];

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
    const draining = this.#draining;
    this.#draining = [];
    for (const resume of draining) resume();
  }

  /** Waits until the gate is open, first come first served; rejects with the signal's reason. */
  async enter(options: WaitOptions | undefined): Promise<void> {
    while (!this.open) await this.#wait(options);
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
        if (this.open) this.#admit();
      },
    };
  }

  /** Resolves when no request is in flight. */
  async idle(): Promise<void> {
    touch(this, "write");
    while (this.#inFlight > 0) await new Promise<void>((resume) => this.#draining.push(resume));
  }

  /** Tells the witness that a request looks at the gate, comes or goes. While it is open and nobody waits for it to be idle, none of them sees another. */
  touch(): void {
    touch(this, this.open && this.#draining.length === 0 ? "add" : "write");
  }

  inspect(): LockReport {
    return { name: `${this.#name} gate`, holders: [], waiters: this.#entering.map(({ who }) => ({ who, waitedMs: 0 })) };
  }

  #admit(): void {
    const entering = this.#entering;
    this.#entering = [];
    for (const waiter of entering) waiter.resume();
  }

  #wait(options: WaitOptions | undefined): Promise<void> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    touch(this, "write");
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        touch(this, "write");
        this.#entering = this.#entering.filter((entry) => entry !== waiter);
        reject(signal?.reason as Error);
      };
      const waiter: Waiter = {
        who: String(options?.who ?? "request"),
        resume: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      this.#entering.push(waiter);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }
}
