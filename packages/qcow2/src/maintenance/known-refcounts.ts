/** What the refcounts on disk are, or will be, once a check has compared and repaired them. */

import type { RefcountComparison } from "./check-refcounts.ts";
import type { ReferenceCounts } from "./reference-counts.ts";

export class KnownRefcounts {
  readonly counts: ReferenceCounts;
  readonly #disk: RefcountComparison | undefined;

  /** `counts`: as they are on disk, as far as numbers go. `disk`: for those that go further; absent where all were written anew. */
  constructor(counts: ReferenceCounts, disk: RefcountComparison | undefined) {
    this.counts = counts;
    this.#disk = disk;
  }

  /** They were, or are, not what was counted. */
  get changed(): boolean {
    return this.#disk?.differs ?? true;
  }

  /** See `RefcountComparison`; refcounts that were written anew have none there. */
  async clearPastEnd(): Promise<void> {
    await this.#disk?.clearPastEnd();
  }

  /** As text, exact; `undefined` where it cannot be read. */
  stored(cluster: number): Promise<string | undefined> {
    const known = this.counts.get(cluster);
    if (this.#disk === undefined) return Promise.resolve(String(known));
    const exact = cluster < this.counts.length && this.counts.isExact(known) && this.#disk.isReadable(cluster);
    return exact ? Promise.resolve(String(known)) : this.#disk.stored(cluster);
  }

  /** Without a wait, where it is known to be one or not. */
  isOne(cluster: number): boolean | undefined {
    return cluster < this.counts.length ? this.counts.get(cluster) === 1 : undefined;
  }
}
