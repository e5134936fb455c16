/** Checks the flag of L1 and L2 entries that says "the only owner" against the refcounts, and corrects it. */

import { COPIED_HIGH, isCopied, l2KindOf, offsetOf } from "../format/entries.ts";
import { clusterOf } from "../format/geometry.ts";
import type { CheckFile } from "./check-file.ts";
import type { CheckLog } from "./check-log.ts";
import { hexOf, isMendable } from "./check-tables.ts";
import type { KnownRefcounts } from "./known-refcounts.ts";
import type { TableOwners } from "./table-owners.ts";

export interface CopiedFlagsParts {
  readonly file: CheckFile;
  readonly refcounts: KnownRefcounts;
  readonly log: CheckLog;
  /** Flags are to be corrected, where that is a table that nobody else claims. */
  readonly owners: TableOwners | undefined;
  /** Offsets of L2 tables whose mendable entries are taken for plain zeros, as they are or will be. */
  readonly mended: ReadonlySet<number>;
}

export class CopiedFlags {
  readonly #parts: CopiedFlagsParts;
  readonly #l2: DataView;
  /** Offsets of tables that were corrected, or would be by a repair that is not dry; several L1 entries may lead to one. */
  readonly #corrected = new Set<number>();

  constructor(parts: CopiedFlagsParts) {
    this.#parts = parts;
    this.#l2 = new DataView(new ArrayBuffer(parts.file.geometry.clusterSize));
  }

  /** `l1`: the active table. Ends early, in silence, where a refcount cannot be read: that was reported before. */
  async check(l1: DataView, l1Offset: number): Promise<void> {
    const { file, owners } = this.#parts;
    const repair = owners?.isAlone(l1Offset, l1.byteLength) ?? false;
    for (let index = 0; index < l1.byteLength / 8; index++) {
      const high = l1.getUint32(index * 8);
      const low = l1.getUint32(index * 8 + 4);
      const offset = offsetOf(high, low);
      if (offset === 0) continue;
      const what = `OFLAG_COPIED L2 cluster: l1_index=${index} l1_entry=${hexOf(high, low)}`;
      const place = l1Offset + index * 8;
      const wrong = await this.#isWrong(clusterOf(file.geometry, offset), isCopied(high), what, place, repair);
      if (wrong === undefined) return;
      if (wrong && repair) {
        l1.setUint32(index * 8, (high ^ COPIED_HIGH) >>> 0);
        await file.write(place, new Uint8Array(l1.buffer, index * 8, 8));
      }
      if (!file.holds(offset) || this.#corrected.has(offset)) continue;
      await file.read(offset, new Uint8Array(this.#l2.buffer));
      if (!(await this.#table(offset))) return;
    }
    if (owners !== undefined && !repair && l1.byteLength > 0)
      this.#parts.log.kept("flags of the L1 table stay as they are: something else leads there too", l1Offset);
  }

  /** Answers false where a refcount cannot be read. */
  async #table(tableOffset: number): Promise<boolean> {
    const { clusterSize, l2EntrySize, extendedL2, externalData } = this.#parts.file.geometry;
    const isMended = this.#parts.mended.has(tableOffset);
    const repair = this.#parts.owners?.isL2Table(tableOffset) ?? false;
    let changed = false;
    for (let at = 0; at < clusterSize; at += l2EntrySize) {
      const high = this.#l2.getUint32(at);
      const low = this.#l2.getUint32(at + 4);
      if (high === 0 && low === 0) continue;
      const kind = l2KindOf(high, low, !extendedL2, externalData);
      if (kind !== "data" && kind !== "reserved") continue;
      if (isMended && isMendable(this.#parts.file.geometry, this.#l2, at)) continue;
      const cluster = externalData ? undefined : clusterOf(this.#parts.file.geometry, offsetOf(high, low));
      const known = cluster === undefined ? true : this.#parts.refcounts.isOne(cluster);
      if (known === isCopied(high)) continue;
      const what = `OFLAG_COPIED data cluster: l2_entry=${hexOf(high, low)}`;
      const wrong = await this.#isWrong(cluster, isCopied(high), what, tableOffset + at, repair);
      if (wrong === undefined) return false;
      if (!wrong || !repair) continue;
      this.#l2.setUint32(at, (high ^ COPIED_HIGH) >>> 0);
      changed = true;
    }
    if (!changed) return true;
    await this.#parts.file.write(tableOffset, new Uint8Array(this.#l2.buffer));
    this.#corrected.add(tableOffset);
    return true;
  }

  /** `cluster`: absent in a data file, where each has one owner. `undefined` where the refcount cannot be read. */
  async #isWrong(cluster: number | undefined, copied: boolean, what: string, at: number, repair: boolean): Promise<boolean | undefined> {
    const { log, refcounts } = this.#parts;
    const stored = cluster === undefined ? "1" : await refcounts.stored(cluster);
    if (stored === undefined) return undefined;
    if ((stored === "1") === copied) return false;
    const text = `${what} refcount=${stored}`;
    if (repair) {
      log.corruptionsFixed++;
      log.repairing(text, at, "copied");
    } else log.wrong(`ERROR ${text}`, at, "copied");
    return true;
  }
}
