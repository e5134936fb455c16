/** Several requests at once that all end before anything fails. */

import type { MaybePromise } from "@coblock/core";

/** Throws the first failure, in the order given, when all have ended. */
export async function settle(requests: readonly (() => MaybePromise<void>)[]): Promise<void> {
  for (const failure of await failuresOf(requests)) if (failure !== undefined) throw failure.error;
}

/** What became of each: its failure, or nothing. */
export async function failuresOf(
  requests: readonly (() => MaybePromise<void>)[],
): Promise<readonly ({ readonly error: unknown } | undefined)[]> {
  return Promise.all(
    requests.map(async (request) => {
      try {
        await request();
        return undefined;
      } catch (error) {
        return { error };
      }
    }),
  );
}
