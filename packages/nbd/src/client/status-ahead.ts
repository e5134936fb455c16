/** The rest of the last block status: a walk over a disk needs one answer for many runs. */

import type { Clock } from "@coblock/core";
import type { StatusExtent } from "../protocol/chunk.ts";

/** Older answers are asked for again: others may write to the disk, too. */
const MAX_AGE_MS = 1000;

export class StatusAhead {
  readonly #clock: Clock;
  #runs: readonly StatusExtent[] = [];
  #index = 0;
  /** Where the run at `index` begins, bytes. */
  #offset = 0;
  #knownMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An answer that begins at `offset`. */
  keep(offset: number, runs: readonly StatusExtent[]): void {
    this.#runs = runs;
    this.#index = 0;
    this.#offset = offset;
    this.#knownMs = this.#clock.now();
  }

  /** The run that begins at `offset`, if the walk goes on where it was. */
  take(offset: number): StatusExtent | undefined {
    const run = this.#runs[this.#index];
    if (run === undefined || offset !== this.#offset || this.#clock.now() - this.#knownMs > MAX_AGE_MS) return undefined;
    this.#index++;
    this.#offset += run.length;
    return run;
  }

  /** The disk changes. */
  drop(): void {
    this.#runs = [];
  }
}
