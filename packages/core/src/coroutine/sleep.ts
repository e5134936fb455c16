/** A sleep that another coroutine can end early. */

import { assert } from "../errors.ts";
import type { Clock, TimerOptions } from "./clock.ts";
import type { WaitOptions } from "./held.ts";
import { Waiter } from "./waiter.ts";
import { touch } from "./witness.ts";

export interface SleepOptions extends WaitOptions, TimerOptions {}

/**
 * The bed of one coroutine, QEMU's QemuCoSleep. A wake-up is not remembered: with no sleeper, `wake` does nothing. So whoever wakes first changes the
 * state that the sleeper reads before it lies down again.
 */
export class CoSleep {
  #sleeper: Waiter<"elapsed" | "woken"> | undefined;
  #timer: Disposable | undefined;

  /** Sleeps for `durationMs` (`Infinity`: until woken). Rejects with the signal's reason. One sleeper at a time. */
  async sleep(clock: Clock, durationMs: number, options?: SleepOptions): Promise<"elapsed" | "woken"> {
    assert(this.#sleeper === undefined, "two coroutines sleep in one CoSleep");
    options?.signal?.throwIfAborted();
    touch(this, "write");
    this.#timer = clock.schedule(durationMs, () => this.#rise()?.wake("elapsed"), options);
    this.#sleeper = new Waiter(options, undefined, () => this.#rise());
    return this.#sleeper.ended;
  }

  /** Ends the sleep; the sleeper goes on in a later microtask. */
  wake(): void {
    this.#rise()?.wake("woken");
  }

  /** Leaves no sleeper and no timer behind. */
  #rise(): Waiter<"elapsed" | "woken"> | undefined {
    touch(this, "write");
    const sleeper = this.#sleeper;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#sleeper = undefined;
    return sleeper;
  }
}
