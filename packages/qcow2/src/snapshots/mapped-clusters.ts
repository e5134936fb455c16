/** Which of some clusters the tables of the disk or of a snapshot lead to: for who is about to give them up, and trusts no refcount. */

import { SparseSet } from "@coblock/core";
import { compressedPlaceOf, l2KindOf, offsetOf } from "../format/entries.ts";
import { clusterOf, type Geometry } from "../format/geometry.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import { viewOf } from "../format/words.ts";
import type { L1Table } from "../metadata/l1-table.ts";
import type { Metadata } from "../metadata/metadata.ts";
import { readSnapshotL1 } from "./snapshot-l1.ts";

/** All tables must be on disk. Throws CORRUPT_IMAGE where one cannot be read; of an entry that cannot be, whatever it touches counts. */
export async function mappedAmong(metadata: Metadata, snapshots: readonly Snapshot[], clusters: SparseSet): Promise<SparseSet> {
  const walk = new MappedClusters(metadata, clusters);
  await walk.tables(metadata.l1);
  for (const snapshot of snapshots) await walk.tables(await readSnapshotL1(metadata, snapshot));
  return walk.found;
}

class MappedClusters {
  readonly found: SparseSet = new SparseSet();
  readonly #metadata: Metadata;
  readonly #clusters: SparseSet;
  /** L2 tables, by cluster: snapshots share most of them. */
  readonly #seen = new SparseSet();

  constructor(metadata: Metadata, clusters: SparseSet) {
    this.#metadata = metadata;
    this.#clusters = clusters;
  }

  async tables(l1: L1Table): Promise<void> {
    const { file, geometry } = this.#metadata;
    for (let index = 0; index < l1.entries; index++) {
      const offset = l1.l2Offset(index);
      if (offset === 0 || !this.#seen.add(clusterOf(geometry, offset))) continue;
      this.#touch(offset, geometry.clusterSize);
      this.#table(viewOf(await file.readTable("an L2 table", offset, geometry.clusterSize)), geometry);
    }
  }

  /** Millions of entries: nothing is made for each. */
  #table(table: DataView, { clusterSize, clusterBits, l2EntrySize, zeroFlag, externalData }: Geometry): void {
    for (let at = 0; at < clusterSize; at += l2EntrySize) {
      const high = table.getUint32(at);
      const low = table.getUint32(at + 4);
      if (high === 0 && low === 0) continue;
      const kind = l2KindOf(high, low, zeroFlag, externalData);
      if (kind === "compressed") {
        const { offset, length } = compressedPlaceOf(high, low, clusterBits);
        this.#touch(offset, length);
      } else if (!externalData) this.#touch(offsetOf(high, low), clusterSize);
    }
  }

  #touch(offset: number, length: number): void {
    const { geometry } = this.#metadata;
    const last = clusterOf(geometry, offset + length - 1);
    for (let cluster = clusterOf(geometry, offset); cluster <= last; cluster++) if (this.#clusters.has(cluster)) this.found.add(cluster);
  }
}
