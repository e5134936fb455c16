/** Work that is done when nothing has happened for a while. */

import type { Clock } from "./clock.ts";
import { CoSleep } from "./sleep.ts";

/** What is done after quiet, and when it is worth doing. */
export interface IdleTaskOptions {
  readonly clock: Clock;
  /** From the last `postpone`. */
  readonly delayMs: number;
  /** Whether there is anything to do; asked anew after each `work`. */
  isWanted(): boolean;
  /** Must not reject. */
  work(): Promise<void>;
}

/** Owns one coroutine, which lives while the work is wanted and nobody holds the task. */
export class IdleTask {
  readonly #options: IdleTaskOptions;
  readonly #sleep: CoSleep = new CoSleep();
  #coroutine: Promise<void> | undefined;
  #lastMs = 0;
  #holders = 0;

  constructor(options: IdleTaskOptions) {
    this.#options = options;
  }

  /** Something happened: the wait begins anew. */
  postpone(): void {
    this.#lastMs = this.#options.clock.now();
    this.#start();
  }

  /** When it returns the coroutine has ended; none starts until the result is disposed. The work may then be wanted still. */
  async hold(): Promise<AsyncDisposable> {
    let held = true;
    const letGo = async (): Promise<void> => {
      if (!held) return;
      held = false;
      this.#holders--;
      this.#start();
    };
    this.#holders++;
    this.#sleep.wake();
    await this.#coroutine;
    return { [Symbol.asyncDispose]: letGo };
  }

  #start(): void {
    if (this.#coroutine === undefined && this.#mayRun) this.#coroutine = this.#run();
  }

  get #mayRun(): boolean {
    return this.#holders === 0 && this.#options.isWanted();
  }

  async #run(): Promise<void> {
    const { clock, delayMs } = this.#options;
    while (this.#mayRun) {
      const remainingMs = this.#lastMs + delayMs - clock.now();
      if (remainingMs > 0) await this.#sleep.sleep(clock, remainingMs);
      else await this.#options.work();
    }
    this.#coroutine = undefined;
  }
}
