/** Guest ranges of one image that are being changed: shared for in-place writes, exclusive for changes of the mapping. */

import type { WaitOptions } from "../coroutine/held.ts";
import { touch } from "../coroutine/witness.ts";
import { assert } from "../errors.ts";

export type ClaimMode = "shared" | "exclusive";

/** Guest bytes [start, end). */
export interface GuestRange {
  readonly start: number;
  readonly end: number;
}

/** A range that is held; given back once. */
export class RangeClaim implements Disposable {
  readonly mode: ClaimMode;
  readonly #claims: RangeClaims;
  #range: GuestRange;

  constructor(claims: RangeClaims, range: GuestRange, mode: ClaimMode) {
    this.#claims = claims;
    this.#range = range;
    this.mode = mode;
  }

  get range(): GuestRange {
    return this.#range;
  }

  /** Whether this claim is enough to do with `range` what needs `mode`. */
  covers(range: GuestRange, mode: ClaimMode): boolean {
    return (this.mode === "exclusive" || mode === "shared") && this.#range.start <= range.start && range.end <= this.#range.end;
  }

  /** Gives back what lies outside of `range`. */
  shrink(range: GuestRange): void {
    const before = this.#range;
    assert(before.start <= range.start && range.end <= before.end, "a claim can only shrink");
    this.#range = range;
    this.#claims.changed(before);
  }

  [Symbol.dispose](): void {
    this.#claims.giveBack(this);
  }
}

interface Waiter {
  readonly range: GuestRange;
  readonly mode: ClaimMode;
  readonly who: string;
  grant(claim: RangeClaim): void;
}

/** First come first served where ranges meet; nobody waits here while holding a claim or a lock. */
export class RangeClaims {
  readonly #held = new Set<RangeClaim>();
  #waiters: Waiter[] = [];

  /** The claim, if nobody holds or awaits what would conflict with it. */
  tryTake(range: GuestRange, mode: ClaimMode): RangeClaim | undefined {
    return this.conflicts(range, mode) ? undefined : this.#take(range, mode);
  }

  conflicts(range: GuestRange, mode: ClaimMode): boolean {
    touch(this, "read");
    // The common case, and iterators are not free.
    if (this.#held.size === 0 && this.#waiters.length === 0) return false;
    return this.#meets(this.#held, range, mode) || this.#meets(this.#waiters, range, mode);
  }

  /** Waits for the claim; what was looked up before is stale afterwards. Rejects with the signal's reason. */
  take(range: GuestRange, mode: ClaimMode, options: WaitOptions | undefined): Promise<RangeClaim> {
    const signal = options?.signal;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error);
      const abort = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal?.reason as Error);
        this.changed(range);
      };
      const waiter: Waiter = {
        range,
        mode,
        who: String(options?.who ?? "request"),
        grant: (claim) => {
          signal?.removeEventListener("abort", abort);
          resolve(claim);
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiters.push(waiter);
      this.changed(range);
    });
  }

  /** @internal A claim or a waiter within `freed` became smaller or went away: hands over to those in front. Nobody else can be concerned. */
  changed(freed: GuestRange): void {
    touch(this, "write");
    if (this.#waiters.length === 0) return;
    const waiting: Waiter[] = [];
    for (const waiter of this.#waiters) {
      const { range, mode } = waiter;
      if (!overlap(range, freed) || this.#meets(this.#held, range, mode) || this.#meets(waiting, range, mode)) waiting.push(waiter);
      else waiter.grant(this.#take(range, mode));
    }
    this.#waiters = waiting;
  }

  /** @internal */
  giveBack(claim: RangeClaim): void {
    if (this.#held.delete(claim)) this.changed(claim.range);
  }

  inspect(): { readonly held: readonly string[]; readonly waiting: readonly string[] } {
    return {
      held: [...this.#held].map((claim) => describe(claim)),
      waiting: this.#waiters.map((waiter) => `${waiter.who}: ${describe(waiter)}`),
    };
  }

  #take(range: GuestRange, mode: ClaimMode): RangeClaim {
    touch(this, "write");
    const claim = new RangeClaim(this, range, mode);
    this.#held.add(claim);
    return claim;
  }

  #meets(others: Iterable<{ readonly range: GuestRange; readonly mode: ClaimMode }>, range: GuestRange, mode: ClaimMode): boolean {
    for (const other of others) {
      if (mode === "shared" && other.mode === "shared") continue;
      if (overlap(range, other.range)) return true;
    }
    return false;
  }
}

function overlap(left: GuestRange, right: GuestRange): boolean {
  return left.start < right.end && right.start < left.end;
}

function describe({ range, mode }: { readonly range: GuestRange; readonly mode: ClaimMode }): string {
  return `${mode} 0x${range.start.toString(16)}..0x${range.end.toString(16)}`;
}
