/** The check of an image: every cluster of the file belongs to one table or one guest cluster, or is leaked. */

import { type CheckOptions, type CheckResult, type Finding, hex, isZero, type MaybePromise, SparseSet } from "@coblock/core";
import { UNALLOCATED, ZERO_CLUSTER } from "./geometry.ts";
import type { QedFile } from "./qed-file.ts";
import { Table } from "./table.ts";

/** Entries of a table that are read at a time: 1 MiB. */
const PIECE_ENTRIES = 128 * 1024;

type Advice = Pick<Finding, "meaning" | "repair" | "risk">;
const UNREADABLE: Advice = { meaning: "It was not checked.", repair: "None: the file itself fails.", risk: "Its data cannot be read." };
const NOWHERE: Advice = { meaning: "Its data cannot be read.", repair: "It is cleared, as if never written.", risk: "Its data is lost." };
const TWICE: Advice = { meaning: "A write to one changes both.", repair: "None: copy what is right.", risk: "Writes may damage more." };
const LEAKED: Advice = { meaning: "Nothing refers to this space.", repair: "None: copy the image.", risk: "None, but for the space." };

/**
 * Reads the tables from the file; nothing may change them meanwhile. A repair, of leaks too as in QEMU, clears entries that point nowhere,
 * and NEED_CHECK where nothing is wrong any more; clusters that are referenced twice, and leaks, cannot be repaired in QED. Rejects where a
 * repair cannot be written.
 */
export class MetadataCheck {
  readonly #file: QedFile;
  readonly #options: CheckOptions;
  readonly #report: (finding: Finding) => void;
  readonly #used: SparseSet = new SparseSet();
  readonly #fileEnd: number;
  readonly #counts = { errors: 0, corruptions: 0, leaks: 0, corruptionsFixed: 0, leaksFixed: 0 };
  readonly #clusters = { total: 0, allocated: 0, fragmented: 0, compressed: 0 };

  constructor(file: QedFile, options: CheckOptions, report: (finding: Finding) => void) {
    this.#file = file;
    this.#options = options;
    this.#report = report;
    this.#fileEnd = file.geometry.wholeClusters(file.child.size);
    this.#clusters.total = Math.ceil(file.header.imageSize / file.geometry.clusterSize);
  }

  /** To be called once. Leaks are known only after everything was seen. */
  async run(): Promise<CheckResult> {
    const { l1Offset, tableClusters } = this.#file.geometry;
    this.#claim(l1Offset, tableClusters, "The L1 table");
    await this.#walk("L1 table", l1Offset, (l2Offset, l1Index) => this.#checkL2(l2Offset, l1Index));
    if (this.#options.repair !== "none" && this.#options.dryRun !== true) await this.#finishRepair();
    if (this.#counts.errors === 0) this.#findLeaks();
    return { ...this.#counts, clusters: this.#clusters };
  }

  /** Answers whether the L1 entry may stay. */
  async #checkL2(l2Offset: number, l1Index: number): Promise<boolean> {
    const { l1Offset, tableClusters, clusterSize } = this.#file.geometry;
    if (!this.#isValid(l2Offset, tableClusters, `L1 entry ${l1Index}`, l1Offset + l1Index * 8)) return false;
    if (!this.#claim(l2Offset, tableClusters, `The L2 table of L1 entry ${l1Index}`)) return true;
    let last = 0;
    await this.#walk(`L2 table of L1 entry ${l1Index}`, l2Offset, (offset, index) => {
      if (offset === ZERO_CLUSTER) return true;
      this.#clusters.allocated++;
      if (last !== 0 && offset !== last + clusterSize) this.#clusters.fragmented++;
      last = offset;
      const name = `L2 entry ${index} (L1 entry ${l1Index})`;
      if (!this.#isValid(offset, 1, name, l2Offset + index * 8)) return false;
      this.#claim(offset, 1, `The cluster of ${name}`);
      return true;
    });
    return true;
  }

  /** Asks `keep` about each entry that is not empty; when repairing, clears those that may not stay. */
  async #walk(name: string, offset: number, keep: (value: number, index: number) => MaybePromise<boolean>): Promise<void> {
    const { tableEntries } = this.#file.geometry;
    for (let start = 0; start < tableEntries; start += PIECE_ENTRIES) {
      this.#options.signal?.throwIfAborted();
      const piece = new Table(Math.min(PIECE_ENTRIES, tableEntries - start));
      const place = offset + start * 8;
      try {
        await this.#file.child.read(place, piece.bytes);
      } catch (error) {
        this.#found("errors", `The ${name} cannot be read at ${hex(place)}: ${String(error)}`, place, UNREADABLE);
        continue;
      }
      if (isZero(piece.bytes)) continue;
      let cleared = false;
      for (let index = 0; index < piece.entries; index++) {
        const value = piece.entry(index);
        if (value === UNALLOCATED) continue;
        const kept = keep(value, start + index);
        if (kept === true || (await kept) || this.#options.repair === "none") continue;
        piece.setRun({ index, count: 1, first: UNALLOCATED, step: 0 });
        cleared = true;
      }
      if (cleared && this.#options.dryRun !== true) await this.#file.child.write(place, piece.bytes);
    }
  }

  #isValid(offset: number, clusters: number, name: string, entryOffset: number): boolean {
    const problem = this.#file.geometry.problemWith(offset, clusters, this.#fileEnd);
    if (problem === undefined) return true;
    const outcome = this.#options.repair === "none" ? "corruptions" : "corruptionsFixed";
    this.#found(outcome, `${name} at ${hex(entryOffset)} points to ${problem}`, entryOffset, NOWHERE);
    return false;
  }

  /** Marks clusters as used; answers whether all of them were free. */
  #claim(offset: number, clusters: number, name: string): boolean {
    const { clusterSize } = this.#file.geometry;
    let free = true;
    for (let at = offset; at < offset + clusters * clusterSize; at += clusterSize) {
      if (this.#used.add(at / clusterSize)) continue;
      free = false;
      this.#found("corruptions", `${name} uses the cluster at ${hex(at)}, which is used already`, at, TWICE);
    }
    return free;
  }

  /** What the last user left in the host's cache must be on stable storage before the mark goes, and only a file that was written is flushed. */
  async #finishRepair(): Promise<void> {
    const isSound = this.#counts.errors + this.#counts.corruptions === 0;
    if (isSound && this.#file.needsCheck) {
      await this.#file.updateHeader({});
      await this.#file.setNeedCheck(false);
    } else if (this.#counts.corruptionsFixed > 0) await this.#file.child.flush();
  }

  #findLeaks(): void {
    const { clusterSize, headerLength } = this.#file.geometry;
    for (const { start, end } of this.#used.gaps(headerLength / clusterSize, this.#fileEnd / clusterSize)) {
      const count = end - start;
      this.#found("leaks", `${count} leaked cluster${count === 1 ? "" : "s"}`, start * clusterSize, LEAKED, count);
    }
  }

  #found(count: "errors" | "corruptions" | "corruptionsFixed" | "leaks", what: string, offset: number, advice: Advice, by = 1): void {
    this.#counts[count] += by;
    this.#report({ severity: count === "leaks" ? "leak" : "error", what, offset, ...advice });
  }
}
