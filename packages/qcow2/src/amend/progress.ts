/** How far an amendment is: it is told before each step, and may be stopped there. */

import type { AmendOptions } from "@coblock/core";

export class AmendProgress {
  readonly #options: AmendOptions;
  #done = 0;
  #total = 0;

  constructor(options: AmendOptions) {
    this.#options = options;
  }

  /** More steps than were known of. */
  expect(steps: number): void {
    this.#total += steps;
  }

  /** Throws the signal's reason. */
  step(): void {
    this.#options.signal?.throwIfAborted();
    this.#options.onProgress?.(this.#done, Math.max(this.#total, this.#done));
    this.#done++;
  }

  finish(): void {
    this.#options.onProgress?.(this.#done, this.#done);
  }
}
