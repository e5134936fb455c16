/** Flushes of one node: those that ask at the same time share one, and a failed one is never forgotten. */

import { touch } from "../coroutine/witness.ts";

/**
 * A flush covers the writes that completed before it began. A failed flush is sticky: what the host could not write may be lost
 * although a second flush succeeds, so every later one fails until the node is opened anew.
 */
export class FlushShare {
  readonly #run: () => void | Promise<void>;
  /** Counts completed changes; the first stands for what others wrote before the node was opened. */
  #changes = 1;
  #flushed = 0;
  #running: { readonly covers: number; readonly done: Promise<void> } | undefined;
  #next: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(run: () => void | Promise<void>) {
    this.#run = run;
  }

  /** To be called when a write, zero write or discard has completed. */
  changed(): void {
    touch(this, "add");
    this.#changes++;
  }

  get failure(): { readonly error: unknown } | undefined {
    touch(this, "read");
    return this.#failure;
  }

  /** Rejects with the first failure ever seen. */
  flush(): Promise<void> {
    touch(this, "write");
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    if (this.#running === undefined) return this.#changes === this.#flushed ? Promise.resolve() : this.#start();
    if (this.#running.covers === this.#changes) return this.#running.done;
    this.#next ??= this.#after(this.#running.done);
    return this.#next;
  }

  async #after(running: Promise<void>): Promise<void> {
    await running;
    this.#next = undefined;
    await this.#start();
  }

  #start(): Promise<void> {
    const covers = this.#changes;
    const done = this.#attempt(covers);
    this.#running = { covers, done };
    return done;
  }

  async #attempt(covers: number): Promise<void> {
    try {
      await this.#run();
      touch(this, "write");
      this.#flushed = covers;
    } catch (error) {
      touch(this, "write");
      this.#failure = { error };
      throw error;
    } finally {
      this.#running = undefined;
    }
  }
}
