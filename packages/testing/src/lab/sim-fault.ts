/** Rules by which operations of a `SimStorage` fail, come short or never end. */

import { BlockError, type TouchKind } from "@coblock/core";
import type { StorageMatch, StorageOperation } from "../storage/operation.ts";

/** What happens to operations that match. */
export interface SimFaultRule {
  /** Absent: every operation. */
  readonly match?: StorageMatch;
  /**
   * `EIO`, `ENOSPC`: nothing is done and the operation fails. `short`: a part of it is done (whole sectors, at least one if there are two),
   * then it fails with EIO. `unheard`: all of it is done, and it fails with EIO all the same. `held`: it stays in flight until the fault is
   * let go.
   */
  readonly effect: "EIO" | "ENOSPC" | "short" | "unheard" | "held";
  /** Matching operations that pass before the first that is struck. Default 0. */
  readonly after?: number;
  /** How many are struck. Default 1. */
  readonly times?: number;
  /** `always`: each that matches; `choose`: whether one is struck is a choice of the schedule. Default "always". */
  readonly when?: "always" | "choose";
}

/** What a fault needs of its storage. */
export interface SimFaultSurroundings {
  /** Lets go of what the fault holds. */
  release(fault: SimFault): void;
  /** Tells the walk that the order of steps matters to the fault. */
  touch(kind: TouchKind): void;
}

/** A rule at work. Disposing ends it and lets go of what it holds. */
export class SimFault implements Disposable {
  readonly rule: SimFaultRule;
  readonly #storage: SimFaultSurroundings;
  #seen = 0;
  #hits = 0;
  #over = false;

  constructor(rule: SimFaultRule, storage: SimFaultSurroundings) {
    this.rule = rule;
    this.#storage = storage;
  }

  /** Operations struck so far. */
  get hits(): number {
    return this.#hits;
  }

  [Symbol.dispose](): void {
    this.#storage.touch("write");
    this.#over = true;
    this.letGo();
  }

  /** What is held goes on. */
  letGo(): void {
    this.#storage.release(this);
  }

  /** Internal: whether `operation` is struck; `choose` asks the schedule. */
  strikes(operation: StorageOperation, choose: () => boolean): boolean {
    const { match, after = 0, times = 1, when = "always" } = this.rule;
    if (match?.(operation) === false) return false;
    this.#touch();
    if (this.#over || this.#hits >= times) return false;
    if (this.#seen++ < after) return false;
    if (when === "choose" && !choose()) return false;
    this.#hits++;
    return true;
  }

  /** Where each operation has its choice, whatever came before, all that can be had in one order can be had in another. */
  #touch(): void {
    const { after = 0, times = 1, when = "always" } = this.rule;
    const isOver = this.#over || this.#hits >= times;
    const isCounted = after > 0 || (when === "always" && times < Infinity);
    this.#storage.touch(isCounted && !isOver ? "write" : "read");
  }
}

/** The error of an operation that a rule struck. */
export function faultError(operation: StorageOperation, effect: SimFaultRule["effect"]): BlockError {
  const { kind, file, offset, length } = operation;
  const code = effect === "ENOSPC" ? "NO_SPACE" : "IO";
  return new BlockError(code, `${file}: ${kind} of ${length} bytes at offset ${offset} fails because the lab wants it`, { offset });
}
