/** What waiting for a lock takes and gives. */

/** A signal stops waiting, never a write. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Who waits, for `graph.inspect()`: a name, or an object whose `toString` tells. */
  readonly who?: { toString(): string } | undefined;
}

/** Proof that a lock is held, valid until disposed; disposing twice does nothing. */
export interface Held extends Disposable {
  readonly released: boolean;
}

/** One line of `graph.inspect()`. */
export interface LockReport {
  readonly name: string;
  readonly holders: readonly { readonly who: string; readonly heldMs: number }[];
  readonly waiters: readonly { readonly who: string; readonly waitedMs: number }[];
}
