/** Waits for requests that run at the same time. */

/** Waits for all, also when one fails; then throws the first failure. */
export async function allSucceed(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === "rejected") throw result.reason;
}
