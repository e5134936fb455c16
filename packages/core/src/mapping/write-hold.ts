/** What one piece of a write holds while it runs: at most one allocation slot and at most one range claim. */

import type { WaitOptions } from "../coroutine/held.ts";
import type { AllocationSlots } from "./allocation-slots.ts";
import type { ClaimMode, GuestRange, RangeClaim, RangeClaims } from "./range-claims.ts";

/** Order: slot, then claim. Waiting for a slot lets the claim go first; waiting for a claim lets the old claim go. */
export class WriteHold implements Disposable {
  readonly #claims: RangeClaims;
  readonly #slots: AllocationSlots;
  #claim: RangeClaim | undefined;
  #slot: Disposable | undefined;

  constructor(claims: RangeClaims, slots: AllocationSlots) {
    this.#claims = claims;
    this.#slots = slots;
  }

  /** Without waiting: a slot that is held already, or a free one. */
  trySlot(): boolean {
    this.#slot ??= this.#slots.tryEnter();
    return this.#slot !== undefined;
  }

  async takeSlot(options: WaitOptions | undefined): Promise<void> {
    this.#releaseClaim();
    this.#slot ??= await this.#slots.enter(options);
  }

  /** Without waiting: a claim that is held already and is enough, or a free one. */
  tryClaim(range: GuestRange, mode: ClaimMode): boolean {
    if (this.#claim?.covers(range, mode) === true) return true;
    this.#releaseClaim();
    this.#claim = this.#claims.tryTake(range, mode);
    return this.#claim !== undefined;
  }

  async takeClaim(range: GuestRange, mode: ClaimMode, options: WaitOptions | undefined): Promise<void> {
    this.#releaseClaim();
    this.#claim = await this.#claims.take(range, mode, options);
  }

  shrinkClaim(range: GuestRange): void {
    this.#claim?.shrink(range);
  }

  releaseSlot(): void {
    this.#slot?.[Symbol.dispose]();
    this.#slot = undefined;
  }

  [Symbol.dispose](): void {
    this.#releaseClaim();
    this.releaseSlot();
  }

  #releaseClaim(): void {
    this.#claim?.[Symbol.dispose]();
    this.#claim = undefined;
  }
}
