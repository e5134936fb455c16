/** Taking back what a change has begun, before anything on disk relies on it. */

import { BlockError } from "@coblock/core";

/** Runs `work`; where it fails, all of `steps` are taken, and the failure is thrown, with what went wrong meanwhile. */
export async function orUndo<T>(work: () => Promise<T>, steps: readonly (() => Promise<void>)[]): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((failure: unknown) => failures.push(failure));
    if (failures.length === 0) throw error;
    const message = `${String(error)}; taking back what was begun failed too, and leaves leaks: ${failures.map(String).join("; ")}`;
    throw new BlockError(error instanceof BlockError ? error.code : "IO", message, { cause: new AggregateError([error, ...failures]) });
  }
}
