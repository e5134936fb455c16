/** Checks the flag of L1 and L2 entries that says "the only owner" against the refcounts. */

import { isCopied, l2KindOf, offsetOf } from "../format/entries.ts";
import { clusterOf } from "../format/geometry.ts";
import type { CheckFile } from "./check-file.ts";
import type { CheckLog } from "./check-log.ts";
import type { RefcountComparison } from "./check-refcounts.ts";
import { hexOf } from "./check-tables.ts";

export class CopiedFlags {
  readonly #file: CheckFile;
  readonly #refcounts: RefcountComparison;
  readonly #log: CheckLog;
  readonly #l2: DataView;

  constructor(file: CheckFile, refcounts: RefcountComparison, log: CheckLog) {
    this.#file = file;
    this.#refcounts = refcounts;
    this.#log = log;
    this.#l2 = new DataView(new ArrayBuffer(file.geometry.clusterSize));
  }

  /** `l1`: the active table. Ends early, in silence, where a refcount cannot be read: that was reported before. */
  async check(l1: DataView, l1Offset: number): Promise<void> {
    for (let index = 0; index < l1.byteLength / 8; index++) {
      const high = l1.getUint32(index * 8);
      const low = l1.getUint32(index * 8 + 4);
      const offset = offsetOf(high, low);
      if (offset === 0) continue;
      const what = `ERROR OFLAG_COPIED L2 cluster: l1_index=${index} l1_entry=${hexOf(high, low)}`;
      if (!(await this.#flag(clusterOf(this.#file.geometry, offset), isCopied(high), what, l1Offset + index * 8))) return;
      if (!this.#file.holds(offset)) continue;
      await this.#file.read(offset, new Uint8Array(this.#l2.buffer));
      if (!(await this.#entries(offset))) return;
    }
  }

  async #entries(tableOffset: number): Promise<boolean> {
    const { clusterSize, l2EntrySize, extendedL2, externalData } = this.#file.geometry;
    for (let at = 0; at < clusterSize; at += l2EntrySize) {
      const high = this.#l2.getUint32(at);
      const low = this.#l2.getUint32(at + 4);
      if (high === 0 && low === 0) continue;
      const kind = l2KindOf(high, low, !extendedL2, externalData);
      if (kind !== "data" && kind !== "reserved") continue;
      const cluster = clusterOf(this.#file.geometry, offsetOf(high, low));
      const known = externalData ? true : this.#refcounts.isOne(cluster);
      if (known === isCopied(high)) continue;
      const what = `ERROR OFLAG_COPIED data cluster: l2_entry=${hexOf(high, low)}`;
      if (externalData) this.#log.copiedFlag(`${what} refcount=1`, tableOffset + at);
      else if (!(await this.#flag(cluster, isCopied(high), what, tableOffset + at))) return false;
    }
    return true;
  }

  async #flag(cluster: number, copied: boolean, what: string, at: number): Promise<boolean> {
    const stored = await this.#refcounts.stored(cluster);
    if (stored === undefined) return false;
    if ((stored === "1") !== copied) this.#log.copiedFlag(`${what} refcount=${stored}`, at);
    return true;
  }
}
