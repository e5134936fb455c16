/** Which slots of one data file are in use. */

import type { BlockChild } from "@coblock/core";
import { assert } from "@coblock/core";

/** The lowest free slot is taken first, so that space that comes back is met again soon. */
export class Slots {
  readonly child: BlockChild;
  readonly #clusterSize: number;
  readonly #used: Set<number> = new Set();

  constructor(child: BlockChild, clusterSize: number) {
    this.child = child;
    this.#clusterSize = clusterSize;
  }

  /** `false`: somebody has it already. */
  use(slot: number): boolean {
    if (this.#used.has(slot)) return false;
    this.#used.add(slot);
    return true;
  }

  take(): number {
    for (let slot = 0; ; slot++) if (this.use(slot)) return slot;
  }

  free(slot: number): void {
    assert(this.#used.delete(slot), `slot ${slot} of ${this.child.fileName} is freed, but nobody has it`);
  }

  offsetOf(slot: number): number {
    return slot * this.#clusterSize;
  }

  slotAt(childOffset: number): number {
    return childOffset / this.#clusterSize;
  }
}
