/** Work done where it is asked for. */

import type { Offload } from "./offload.ts";

/** The default: runs the work on the calling thread, at once. */
export class InlineOffload implements Offload {
  readonly mayKeepThreads = true;
  readonly #counts: Map<string, number> = new Map();

  /** Runs so far, by task name. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  async run<T>(task: string, work: () => T | Promise<T>): Promise<T> {
    this.#counts.set(task, (this.#counts.get(task) ?? 0) + 1);
    return await work();
  }
}
