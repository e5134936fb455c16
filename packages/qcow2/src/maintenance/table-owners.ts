/** Which tables a repair may write to: those that nothing else claims, as writing there would change something else too. */

import { offsetOf } from "../format/entries.ts";
import { clusterOf } from "../format/geometry.ts";
import { CheckLog } from "./check-log.ts";
import type { CheckFile } from "./check-file.ts";
import { ReferenceCounts } from "./reference-counts.ts";
import { type Inventory, snapshotProblem } from "./survey.ts";

const L1_CHUNK = 64 * 1024;

export class TableOwners {
  readonly #file: CheckFile;
  readonly #counts: ReferenceCounts;
  readonly #fromL1: ReferenceCounts;

  private constructor(file: CheckFile, counts: ReferenceCounts, fromL1: ReferenceCounts) {
    this.#file = file;
    this.#counts = counts;
    this.#fromL1 = fromL1;
  }

  /** Reads all L1 tables, those of snapshots too. `counts`: all references. */
  static async count(file: CheckFile, { image, snapshots }: Inventory, counts: ReferenceCounts): Promise<TableOwners> {
    const fromL1 = new ReferenceCounts(file.geometry, file.size, new CheckLog(() => {}));
    const { clusterSize } = file.geometry;
    const { l1Offset, l1Entries } = image.header;
    const sound = snapshots.snapshots.filter((snapshot) => snapshotProblem(snapshot, clusterSize) === undefined);
    for (const table of [{ l1Offset, l1Entries }, ...sound]) await countTable(file, table, fromL1);
    return new TableOwners(file, counts, fromL1);
  }

  /** Nothing but entries of L1 tables leads to what is at `offset`. */
  isL2Table(offset: number): boolean {
    const { clusterSize } = this.#file.geometry;
    if (offset % clusterSize !== 0 || !this.#file.holds(offset)) return false;
    const cluster = clusterOf(this.#file.geometry, offset);
    return !this.#counts.isOverflowed(cluster) && this.#counts.get(cluster) === this.#fromL1.get(cluster);
  }

  /** The clusters of [offset, offset + length) have one owner. */
  isAlone(offset: number, length: number): boolean {
    const { geometry } = this.#file;
    const last = clusterOf(geometry, offset + length - 1);
    for (let cluster = clusterOf(geometry, offset); cluster <= last; cluster++)
      if (this.#counts.get(cluster) !== 1 || this.#counts.isOverflowed(cluster)) return false;
    return true;
  }
}

async function countTable(
  file: CheckFile,
  { l1Offset, l1Entries }: { readonly l1Offset: number; readonly l1Entries: number },
  fromL1: ReferenceCounts,
): Promise<void> {
  for (let at = 0; at < l1Entries * 8 && file.holds(l1Offset + at); at += L1_CHUNK) {
    const table = await file.readTable(l1Offset + at, Math.min(L1_CHUNK, l1Entries * 8 - at));
    for (let entry = 0; entry < table.byteLength; entry += 8) {
      const offset = offsetOf(table.getUint32(entry), table.getUint32(entry + 4));
      // One that is not aligned lies over two clusters, and over tables that begin there.
      if (offset !== 0 && offset % file.geometry.clusterSize === 0 && file.holds(offset)) fromL1.add(offset, file.geometry.clusterSize);
    }
  }
}
