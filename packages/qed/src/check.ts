/** The check of an image: every cluster of the file belongs to one table or one guest cluster, or is leaked. */

import { alignDown, type CheckOptions, type CheckResult, type Finding, hex, isZero, type MaybePromise } from "@coblock/core";

import { ClusterMap } from "./cluster-map.ts";
import { UNALLOCATED, ZERO_CLUSTER } from "./geometry.ts";
import type { QedFile } from "./qed-file.ts";
import { Table } from "./table.ts";

/** Entries of a table that are read at a time: 1 MiB. */
const PIECE_ENTRIES = 128 * 1024;

const ADVICE = {
  unreadable: { meaning: "What it leads to was not checked.", repair: "None: the file itself fails.", risk: "Guest data behind it cannot be read." },
  nowhere: { meaning: "Its guest bytes cannot be read.", repair: "Cleared: they read as zeros or come from the backing file.", risk: "What it led to is lost." },
  twice: { meaning: "A write through one reference changes the other.", repair: "None: copy what is right.", risk: "Each write may damage more." },
  leak: { meaning: "Nothing refers to this space.", repair: "None in place: a copy is made without it.", risk: "None, but for the space." },
} as const satisfies Record<string, Pick<Finding, "meaning" | "repair" | "risk">>;

/**
 * Reads the tables from the file; nothing may change them meanwhile. `repair: "all"` clears entries that point nowhere and flushes;
 * clusters that are referenced twice, and leaks, cannot be repaired in QED. Rejects where a repair cannot be written.
 */
export function checkMetadata(file: QedFile, options: CheckOptions, report: (finding: Finding) => void): Promise<CheckResult> {
  return new MetadataCheck(file, options, report).run();
}

class MetadataCheck {
  readonly #file: QedFile;
  readonly #options: CheckOptions;
  readonly #report: (finding: Finding) => void;
  readonly #clusters: ClusterMap = new ClusterMap();
  readonly #fileEnd: number;
  readonly #repairs: boolean;
  #errors = 0;
  #corruptions = 0;
  #corruptionsFixed = 0;
  #leaks = 0;
  #allocated = 0;
  #fragmented = 0;

  constructor(file: QedFile, options: CheckOptions, report: (finding: Finding) => void) {
    this.#file = file;
    this.#options = options;
    this.#repairs = options.repair === "all";
    this.#report = report;
    this.#fileEnd = alignDown(file.child.size, file.geometry.clusterSize);
  }

  /** Leaks are known only after everything was seen. */
  async run(): Promise<CheckResult> {
    const { l1Offset, tableClusters, clusterSize } = this.#file.geometry;
    this.#claim(l1Offset, tableClusters, "The L1 table");
    await this.#walk("L1 table", l1Offset, (l2Offset, l1Index) => this.#checkL2(l2Offset, l1Index));
    if (this.#corruptionsFixed > 0) await this.#file.child.flush();
    if (this.#errors === 0) this.#findLeaks();
    const total = Math.ceil(this.#file.header.imageSize / clusterSize);
    const clusters = { total, allocated: this.#allocated, fragmented: this.#fragmented, compressed: 0 };
    return { errors: this.#errors, corruptions: this.#corruptions, leaks: this.#leaks, corruptionsFixed: this.#corruptionsFixed, leaksFixed: 0, clusters };
  }

  /** Answers whether the L1 entry may stay. */
  async #checkL2(l2Offset: number, l1Index: number): Promise<boolean> {
    this.#options.signal?.throwIfAborted();
    const { l1Offset, tableClusters, clusterSize } = this.#file.geometry;
    if (!this.#isValid(l2Offset, tableClusters, `L1 entry ${l1Index}`, l1Offset + l1Index * 8)) return false;
    if (!this.#claim(l2Offset, tableClusters, `The L2 table of L1 entry ${l1Index}`)) return true;
    let last = 0;
    await this.#walk(`L2 table of L1 entry ${l1Index}`, l2Offset, (offset, index) => {
      if (offset === ZERO_CLUSTER) return true;
      this.#allocated++;
      if (last !== 0 && offset !== last + clusterSize) this.#fragmented++;
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
      const piece = await this.#readPiece(name, offset + start * 8, Math.min(PIECE_ENTRIES, tableEntries - start));
      if (piece === undefined || isZero(piece.bytes)) continue;
      let cleared = false;
      for (let index = 0; index < piece.entries; index++) {
        const value = piece.entry(index);
        if (value === UNALLOCATED) continue;
        const kept = keep(value, start + index);
        if (kept === true || (await kept) || !this.#repairs) continue;
        piece.setRun({ index, count: 1, first: UNALLOCATED, step: 0 });
        cleared = true;
      }
      if (cleared) await this.#file.child.write(offset + start * 8, piece.bytes);
    }
  }

  async #readPiece(name: string, offset: number, entries: number): Promise<Table | undefined> {
    const piece = new Table(entries);
    try {
      await this.#file.child.read(offset, piece.bytes);
      return piece;
    } catch (error) {
      this.#errors++;
      this.#report({ severity: "error", what: `The ${name} cannot be read at ${hex(offset)}: ${String(error)}`, offset, ...ADVICE.unreadable });
      return undefined;
    }
  }

  #isValid(offset: number, clusters: number, name: string, entryOffset: number): boolean {
    const problem = this.#file.geometry.problemWith(offset, clusters, this.#fileEnd);
    if (problem === undefined) return true;
    if (this.#repairs) this.#corruptionsFixed++;
    else this.#corruptions++;
    this.#report({ severity: "error", what: `${name} at ${hex(entryOffset)} points to ${problem}`, offset: entryOffset, ...ADVICE.nowhere });
    return false;
  }

  /** Marks clusters as used; answers whether all of them were free. */
  #claim(offset: number, clusters: number, name: string): boolean {
    const { clusterSize } = this.#file.geometry;
    let free = true;
    for (let at = offset; at < offset + clusters * clusterSize; at += clusterSize) {
      if (this.#clusters.use(at / clusterSize)) continue;
      free = false;
      this.#corruptions++;
      this.#report({ severity: "error", what: `${name} uses the cluster at ${hex(at)}, which is used already`, offset: at, ...ADVICE.twice });
    }
    return free;
  }

  #findLeaks(): void {
    const { clusterSize, headerLength } = this.#file.geometry;
    for (const { start, end } of this.#clusters.freeRuns(headerLength / clusterSize, this.#fileEnd / clusterSize)) {
      const count = end - start;
      this.#leaks += count;
      this.#report({ severity: "leak", what: `${count} leaked cluster${count === 1 ? "" : "s"}`, offset: start * clusterSize, ...ADVICE.leak });
    }
  }
}
