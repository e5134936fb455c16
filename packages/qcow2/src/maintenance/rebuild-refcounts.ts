/** Writes all refcounts anew, to free space, and switches to them in one write of the header. */

import { BlockError } from "@coblock/core";
import { clusterOf, clustersFor } from "../format/geometry.ts";
import { encodeRefcountTableSwitch, HEADER_AT } from "../format/header.ts";
import { MAX_REFCOUNT_TABLE_BYTES } from "../format/limits.ts";
import { refcountCodec } from "../format/refcounts.ts";
import { writeNumber64 } from "../format/words.ts";
import type { CheckFile } from "./check-file.ts";
import type { RefcountTable } from "./refcount-table.ts";
import type { ReferenceCounts } from "./reference-counts.ts";

export interface RebuildParts {
  readonly file: CheckFile;
  /** The table that is given up; until the switch a power cut leaves it in force, so nothing of it is written over. */
  readonly oldTable: RefcountTable;
  /** References with the old refcounts among the owners. */
  readonly oldCounts: ReferenceCounts;
  /** References without them: what is written, and what the new refcounts are added to. */
  readonly counts: ReferenceCounts;
  /** Nothing in the file is free for sure. */
  readonly appendOnly: boolean;
}

/**
 * Until the header is switched nothing that is in force has changed. Answers false, with nothing written, where the file would grow over a
 * place that something leads to, or where something else leads to the header. Throws OUT_OF_RANGE where the new table would be too long.
 */
export async function rebuildRefcounts(parts: RebuildParts): Promise<boolean> {
  const { file, counts } = parts;
  const { clusterSize, refcountBits, refcountsPerBlock } = file.geometry;
  const { blocks, tableFirst, tableClusters } = new NewPlaces(parts).place();
  // What ends within a cluster behind the file would count as there in part.
  if (counts.overflowed || counts.get(0) !== 1 || (counts.length + 1) * clusterSize > counts.firstPastEnd) return false;
  const codec = refcountCodec(refcountBits);
  const table = new DataView(new ArrayBuffer(tableClusters * clusterSize));
  for (const [index, first] of blocks) {
    const block = new DataView(new ArrayBuffer(clusterSize));
    const start = index * refcountsPerBlock;
    const end = Math.min(counts.length, start + refcountsPerBlock);
    for (let cluster = start; cluster < end; cluster++) {
      const count = counts.get(cluster);
      if (count > 0) codec.set(block, cluster - start, count);
    }
    await file.write(first * clusterSize, new Uint8Array(block.buffer));
    writeNumber64(table, index * 8, first * clusterSize);
  }
  await file.write(tableFirst * clusterSize, new Uint8Array(table.buffer));
  await file.flush();
  await file.write(HEADER_AT.refcountTable, encodeRefcountTableSwitch(tableFirst * clusterSize, tableClusters));
  await file.flush();
  return true;
}

interface Places {
  /** Cluster of each block by its index in the table. */
  readonly blocks: ReadonlyMap<number, number>;
  readonly tableFirst: number;
  readonly tableClusters: number;
}

/** Finds space for blocks that count themselves, first fit as QEMU does, each within what it counts where that has room. */
class NewPlaces {
  readonly #parts: RebuildParts;
  readonly #blocks = new Map<number, number>();
  readonly #oldBlocks = new Set<number>();
  readonly #start: number;
  #lastBlock = 0;

  constructor(parts: RebuildParts) {
    this.#parts = parts;
    const { file, oldTable, counts, appendOnly } = parts;
    this.#start = appendOnly ? counts.length : 0;
    // Those that are damaged are not among the counts.
    for (let index = 0; index < oldTable.entries; index++) this.#oldBlocks.add(clusterOf(file.geometry, oldTable.blockOffset(index)));
  }

  place(): Places {
    const { clusterSize } = this.#parts.file.geometry;
    this.#placeBlocks();
    let tableFirst = 0;
    for (let tableClusters = 0; ;) {
      const needed = clustersFor(this.#parts.file.geometry, (this.#lastBlock + 1) * 8);
      if (needed <= tableClusters) return { blocks: this.#blocks, tableFirst, tableClusters };
      if (needed * clusterSize > MAX_REFCOUNT_TABLE_BYTES)
        throw new BlockError(
          "OUT_OF_RANGE",
          `the new refcount table would be ${needed * clusterSize} bytes long, more than ${MAX_REFCOUNT_TABLE_BYTES}`,
        );
      for (let cluster = tableFirst; cluster < tableFirst + tableClusters; cluster++) this.#parts.counts.set(cluster, 0);
      tableFirst = this.#take(needed, this.#start);
      tableClusters = needed;
      this.#placeBlocks();
    }
  }

  /** Gives every cluster in use a block; blocks in use among them. */
  #placeBlocks(): void {
    const { counts, file } = this.#parts;
    const { refcountsPerBlock } = file.geometry;
    let free = this.#start;
    for (let first = 0; first < counts.length; first += refcountsPerBlock) {
      const index = first / refcountsPerBlock;
      if (this.#blocks.has(index) || counts.isBlockEmpty(first) || !this.#isUsed(first)) continue;
      free = this.#take(1, Math.max(free, first));
      this.#blocks.set(index, free);
      this.#lastBlock = Math.max(this.#lastBlock, index);
    }
  }

  #isUsed(first: number): boolean {
    const { counts, file } = this.#parts;
    const end = Math.min(counts.length, first + file.geometry.refcountsPerBlock);
    for (let cluster = first; cluster < end; cluster++) if (counts.get(cluster) > 0) return true;
    return false;
  }

  /** The first run of `length` free clusters from `from` on; it is in use afterwards. */
  #take(length: number, from: number): number {
    const { counts } = this.#parts;
    let run = 0;
    let cluster = from;
    for (; run < length; cluster++) run = this.#isFree(cluster) ? run + 1 : 0;
    const first = cluster - length;
    for (let taken = first; taken < cluster; taken++) counts.set(taken, 1);
    return first;
  }

  #isFree(cluster: number): boolean {
    const { counts, oldCounts } = this.#parts;
    return counts.get(cluster) === 0 && oldCounts.get(cluster) === 0 && !this.#oldBlocks.has(cluster);
  }
}
