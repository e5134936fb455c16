/** Work off the main thread, simulated: it is done when the scheduler says so. */

import type { Offload } from "@coblock/core";
import type { Scheduler } from "./scheduler.ts";

/** The work itself runs on the spot, at a moment that the schedule decides. */
export class SimOffload implements Offload {
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  run<T>(task: string, work: () => T | Promise<T>): Promise<T> {
    const done = async (): Promise<T> => this.#scheduler.external(Promise.resolve(work()));
    if (this.#scheduler.quiet) return done();
    return new Promise((resolve, reject) => {
      this.#scheduler.add(
        () => `${task} off the main thread is done`,
        () => done().then(resolve, reject),
      );
    });
  }
}
