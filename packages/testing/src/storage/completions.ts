/** When operations of a `TestStorage` take effect and complete: in the turn in which they begin, or later, in random order. */

import type { Clock, MaybePromise } from "@coblock/core";
import type { SeededRandom } from "../seeded-random.ts";

/** `at once`: synchronously, and a failure is thrown. `later`: after some turns of the event loop, in an order that the seed decides. */
export type CompletionMode = "at once" | "later";

export class Completions {
  readonly #mode: CompletionMode;
  readonly #random: SeededRandom;
  readonly #clock: Clock;
  readonly #pending: (() => void)[] = [];
  #pumping = false;

  constructor(mode: CompletionMode, random: SeededRandom, clock: Clock) {
    this.#mode = mode;
    this.#random = random;
    this.#clock = clock;
  }

  /** Operations that will complete in a later turn. */
  get pending(): number {
    return this.#pending.length;
  }

  /** Runs `effect` now, or in its turn; what it throws is the operation's failure. */
  run(effect: () => void): MaybePromise<void> {
    if (this.#mode === "at once") return effect();
    return new Promise((resolve, reject) => {
      this.#pending.push(() => {
        try {
          resolve(effect());
        } catch (error) {
          reject(error);
        }
      });
      if (!this.#pumping) void this.#pump();
    });
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    while (this.#pending.length > 0) {
      await this.#clock.yield();
      for (let left = this.#random.between(1, this.#pending.length); left > 0; left--) {
        const [complete] = this.#pending.splice(this.#random.below(this.#pending.length), 1);
        complete?.();
      }
    }
    this.#pumping = false;
  }
}
