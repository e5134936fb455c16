/** How many requests are under way at one time. */

import { CoQueue, type WaitOptions } from "@coblock/core";

export class RequestSlots {
  readonly #limit: number;
  readonly #waiting: CoQueue = new CoQueue("request slots");
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get taken(): number {
    return this.#taken;
  }

  /** First come first served; rejects with the signal's reason. */
  async take(options: WaitOptions): Promise<Disposable> {
    if (this.#taken < this.#limit) this.#taken++;
    else await this.#waiting.waitUnlocked(options);
    return { [Symbol.dispose]: () => this.#release() };
  }

  /** Whoever is woken has the slot: nobody can come in between. */
  #release(): void {
    if (!this.#waiting.wakeOne()) this.#taken--;
  }
}
