/** A rule by which operations of a `TestStorage` fail. */

import { BlockError } from "@coblock/core";
import type { StorageMatch, StorageOperation } from "./operation.ts";

/** When a fault strikes. */
export interface FaultOptions {
  /** Matching operations that succeed before the first failure. Default 0. */
  readonly after?: number;
  /** Failures before all succeed again. Default: no end. */
  readonly times?: number;
  /** Default: an IO error that names the operation. */
  readonly error?: Error;
}

/** Disposing ends it. A failed operation changes nothing. */
export class StorageFault implements Disposable {
  readonly #match: StorageMatch;
  readonly #options: FaultOptions;
  #seen = 0;
  #hits = 0;
  #over = false;

  constructor(match: StorageMatch, options: FaultOptions) {
    this.#match = match;
    this.#options = options;
  }

  /** Failures so far. */
  get hits(): number {
    return this.#hits;
  }

  [Symbol.dispose](): void {
    this.#over = true;
  }

  /** Internal: the error that `operation` fails with. */
  failureOf(operation: StorageOperation): Error | undefined {
    if (this.#over || !this.#match(operation)) return undefined;
    const { after = 0, times = Infinity, error } = this.#options;
    if (this.#seen++ < after || this.#hits >= times) return undefined;
    this.#hits++;
    const { kind, file, offset, length } = operation;
    return (
      error ?? new BlockError("IO", `${file}: ${kind} of ${length} bytes at offset ${offset} fails because the test wants it`, { offset })
    );
  }
}
