/** What a queue of sleepers must do: who came first is woken first, and a wake-up with no sleeper is lost. */

import { wrong } from "./lock-model.ts";

/** Is told who sleeps and who wakes, before they do it, and what they get; throws where the queue does something else. */
export class QueueModel {
  readonly #woken: Set<string> = new Set();
  #line: readonly string[] = [];
  #waker: string | undefined;

  sleeps(who: string): void {
    this.#line = [...this.#line, who];
  }

  /** `who` was woken and goes on. */
  goesOn(who: string): void {
    if (this.#waker !== undefined) throw wrong(`${who} goes on inside of ${this.#waker}'s call that wakes it`);
    if (!this.#woken.delete(who)) throw wrong(`${who} is woken before its turn; in line: ${this.#line.join(", ")}`);
  }

  /** `who` ends its own sleep. One that was woken before does not. */
  aborts(who: string): void {
    this.#line = this.#line.filter((other) => other !== who);
  }

  /** `waker` wakes `count` of the queue with `wake`, which must answer how many. */
  wakes(waker: string, count: number, wake: () => number): void {
    this.expectSettled();
    const due = this.#line.slice(0, count);
    this.#line = this.#line.slice(count);
    for (const who of due) this.#woken.add(who);
    this.#waker = waker;
    const woken = wake();
    this.#waker = undefined;
    if (woken !== due.length) throw wrong(`${waker} wakes ${woken}, and there were to be woken: ${due.join(", ") || "nobody"}`);
  }

  /** All coroutines have gone as far as they can: whoever was woken goes on. */
  expectSettled(): void {
    if (this.#woken.size > 0) throw wrong(`${[...this.#woken].join(" and ")} was woken and sleeps on`);
  }
}
