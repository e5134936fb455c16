/** Clusters that became free below the place where the search for free clusters stands. */

/** Host clusters in a row. */
export interface ClusterRun {
  readonly first: number;
  readonly count: number;
}

const MAX_RUNS = 4096;

/** A bounded memory: with too many runs it forgets them all, and says from where the search must start again. */
export class FreeRuns {
  #runs: { first: number; count: number }[] = [];

  /** Answers the lowest cluster forgotten, if there was no room. */
  add(first: number, count: number): number | undefined {
    const last = this.#runs[this.#runs.length - 1];
    if (last !== undefined && last.first + last.count === first) last.count += count;
    else this.#runs.push({ first, count });
    if (this.#runs.length <= MAX_RUNS) return undefined;
    let lowest = Number.POSITIVE_INFINITY;
    for (const run of this.#runs) lowest = Math.min(lowest, run.first);
    this.#runs = [];
    return lowest;
  }

  /** The run to use next, the one that was added last. */
  get next(): ClusterRun | undefined {
    return this.#runs[this.#runs.length - 1];
  }

  /** `next` below `end` is free no more. */
  takeUpTo(end: number): void {
    const run = this.#runs[this.#runs.length - 1];
    if (run === undefined) return;
    run.count -= end - run.first;
    run.first = end;
    if (run.count <= 0) this.#runs.pop();
  }
}
