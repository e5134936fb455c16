/** What a fair lock must do, written as plainly as it can be: from the head of the line, whoever fits goes in. */

import { RunFailure } from "@coblock/testing";

/** Readers share, a writer is alone. A mutex knows writers alone. */
export type Mode = "read" | "write";

interface Ticket {
  readonly who: string;
  readonly mode: Mode;
}

/** Is told what coroutines ask of a lock, before they ask, and what they get; throws where the lock does something else. */
export class LockModel {
  readonly #aborted: Set<string> = new Set();
  readonly #inside: Set<string> = new Set();
  #granted: readonly Ticket[] = [];
  #line: readonly Ticket[] = [];
  #waker: string | undefined;

  /** Whether somebody holds the lock or is about to. */
  get locked(): boolean {
    return this.#granted.length > 0;
  }

  /** `who` gets in line; it does not if its signal has aborted. */
  asks(who: string, mode: Mode = "write"): void {
    if (this.#aborted.has(who)) return;
    this.#line = [...this.#line, { who, mode }];
    this.#admit();
  }

  /** `who` has the lock. */
  enters(who: string): void {
    if (this.#waker !== undefined) throw wrong(`${who} goes on inside of ${this.#waker}'s call that wakes it`);
    if (!this.#granted.some((ticket) => ticket.who === who)) throw wrong(`${who} goes in before its turn: ${this.#state()}`);
    this.#inside.add(who);
  }

  /** `who` was refused: its signal has aborted, and it had not gone in. */
  refused(who: string): void {
    if (!this.#aborted.has(who)) throw wrong(`${who} gives up, and nobody told it to: ${this.#state()}`);
    this.#granted = without(this.#granted, who);
    this.#line = without(this.#line, who);
    this.#admit();
  }

  /** `who` lets the lock go with `release`. */
  leaves(who: string, release: () => void): void {
    this.#inside.delete(who);
    this.#granted = without(this.#granted, who);
    this.#admit();
    this.#asWaker(who, release);
  }

  /** `waker` tells `who` with `abort` to wait no longer. One who was let in in this very turn may go in or give up, as it likes. */
  aborts(waker: string, who: string, abort: () => void): void {
    this.#aborted.add(who);
    this.#line = without(this.#line, who);
    this.#admit();
    this.#asWaker(waker, abort);
  }

  /** All coroutines have gone as far as they can: whoever may go in has done so. */
  expectSettled(): void {
    const late = this.#granted.filter(({ who }) => !this.#inside.has(who));
    if (late.length > 0) throw wrong(`${late.map(({ who }) => who).join(" and ")} may go in and sleeps: ${this.#state()}`);
  }

  #admit(): void {
    for (let head = this.#line[0]; head !== undefined; head = this.#line[0]) {
      const fits = head.mode === "write" ? this.#granted.length === 0 : this.#granted.every(({ mode }) => mode === "read");
      if (!fits) return;
      this.#granted = [...this.#granted, head];
      this.#line = this.#line.slice(1);
    }
  }

  #asWaker(who: string, wake: () => void): void {
    this.#waker = who;
    try {
      wake();
    } finally {
      this.#waker = undefined;
    }
  }

  #state(): string {
    return `inside: ${listOf([...this.#inside])}; let in: ${listOf(this.#granted.map(nameOf))}; in line: ${listOf(this.#line.map(nameOf))}`;
  }
}

/** A run ends with this: something that is asked of locks is not so. */
export function wrong(what: string): RunFailure {
  return new RunFailure("wrong", what);
}

function without(tickets: readonly Ticket[], who: string): readonly Ticket[] {
  return tickets.filter((ticket) => ticket.who !== who);
}

function nameOf({ who, mode }: Ticket): string {
  return `${who} (${mode})`;
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? "nobody" : names.join(", ");
}
