/** Operations that stand still until a test lets them go on. */

import type { StorageMatch, StorageOperation } from "./operation.ts";

interface HeldOperation {
  readonly operation: StorageOperation;
  go(): void;
}

/** Every operation that matches waits from its begin on; nothing of it has happened yet. Disposing lets all go, and new ones pass. */
export class HeldOperations implements Disposable {
  readonly #match: StorageMatch;
  readonly #onDisposed: (holding: HeldOperations) => void;
  #held: HeldOperation[] = [];
  #watchers: { readonly count: number; readonly seen: () => void }[] = [];

  constructor(match: StorageMatch, onDisposed: (holding: HeldOperations) => void) {
    this.#match = match;
    this.#onDisposed = onDisposed;
  }

  /** Those that wait now, in the order in which they began. */
  get operations(): readonly StorageOperation[] {
    return this.#held.map(({ operation }) => operation);
  }

  /** Resolves when `count` operations wait at one time. */
  reached(count: number): Promise<void> {
    if (this.#held.length >= count) return Promise.resolve();
    return new Promise((seen) => this.#watchers.push({ count, seen }));
  }

  /** Lets the first that matches go on; `false` if none waits. */
  releaseOne(match: StorageMatch = () => true): boolean {
    const index = this.#held.findIndex(({ operation }) => match(operation));
    if (index < 0) return false;
    const [held] = this.#held.splice(index, 1);
    held?.go();
    return true;
  }

  [Symbol.dispose](): void {
    this.#onDisposed(this);
    const held = this.#held;
    this.#held = [];
    for (const { go } of held) go();
  }

  /** Internal: whether `operation` must wait here. */
  matches(operation: StorageOperation): boolean {
    return this.#match(operation);
  }

  /** Internal: resolves when the operation may go on. */
  wait(operation: StorageOperation): Promise<void> {
    return new Promise((go) => {
      this.#held.push({ operation, go });
      const seen = this.#watchers.filter(({ count }) => this.#held.length >= count);
      this.#watchers = this.#watchers.filter((watcher) => !seen.includes(watcher));
      for (const watcher of seen) watcher.seen();
    });
  }
}
