/** A larger refcount table: written whole at the end of the file, then switched to in one write of the header. */

import { BlockError } from "@coblock/core";
import { entryFor } from "../format/entries.ts";
import type { Geometry } from "../format/geometry.ts";
import { MAX_REFCOUNT_TABLE_BYTES } from "../format/limits.ts";
import type { FreedSpace } from "./freed-space.ts";
import type { ClusterRun } from "./free-runs.ts";
import type { ImageFile } from "./image-file.ts";
import { buildBlocks, type RefcountStore } from "./refcount-store.ts";
import { TableBytes } from "./table-bytes.ts";

export interface RefcountTableGrowthParts {
  readonly file: ImageFile;
  readonly geometry: Geometry;
  readonly refcounts: RefcountStore;
  readonly freed: FreedSpace;
  /** Throws where the clusters cannot be used. */
  readonly claim: (run: ClusterRun) => Promise<void>;
}

/** New blocks, then the new table, both in clusters that the old table does not count. */
interface Layout {
  readonly first: number;
  readonly blockCount: number;
  readonly tableClusters: number;
}

/**
 * Afterwards the table has at least `entries` entries. The new table takes over all blocks of the old one, so what those say in memory
 * goes out first. A crash at any moment leaves one of the two tables, complete.
 */
export async function growRefcountTable(parts: RefcountTableGrowthParts, entries: number): Promise<void> {
  const { file, geometry, refcounts } = parts;
  const { clusterSize } = geometry;
  await file.event("reftable_grow");
  const layout = planTable(geometry, refcounts.table.entries, entries);
  const { first, blockCount, tableClusters } = layout;
  const tableOffset = (first + blockCount) * clusterSize;
  await parts.claim({ first, count: blockCount + tableClusters });
  const firstIndex = refcounts.table.entries;
  const indices = Array.from({ length: blockCount }, (_, index) => firstIndex + index);
  const blocks = buildBlocks(geometry, indices, { first, count: blockCount + tableClusters });
  await file.event("refblock_alloc_write_blocks");
  for (const [index, bytes] of blocks.entries()) await file.write((first + index) * clusterSize, bytes);
  const table = new TableBytes(new Uint8Array(tableClusters * clusterSize));
  await refcounts.writeBlocks();
  await file.event("refblock_alloc_write_table");
  table.bytes.set(refcounts.table.bytes);
  for (const [index, tableIndex] of indices.entries()) table.set(tableIndex, entryFor((first + index) * clusterSize, false));
  await file.write(tableOffset, table.bytes);
  table.clean();
  await file.flush();
  await file.event("refblock_alloc_switch_table");
  await file.switchRefcountTable(tableOffset, tableClusters);
  const oldOffset = refcounts.tableOffset;
  const oldLength = refcounts.table.bytes.length;
  refcounts.replaceTable(table, tableOffset);
  parts.freed.retire(oldOffset, oldLength, "other");
}

/** Half as many entries more than are needed where the limit allows it, as the next growth costs as much again. */
function planTable(geometry: Geometry, oldEntries: number, entries: number): Layout {
  const { clusterSize, refcountsPerBlock } = geometry;
  const first = oldEntries * refcountsPerBlock;
  const entriesPerCluster = clusterSize / 8;
  const limit = Math.floor(MAX_REFCOUNT_TABLE_BYTES / clusterSize);
  let tableClusters = Math.min(Math.ceil((entries * 1.5) / entriesPerCluster), limit);
  let blockCount = 1;
  for (;;) {
    const neededBlocks = Math.ceil((blockCount + tableClusters) / refcountsPerBlock);
    const neededClusters = Math.ceil(Math.max(entries, oldEntries + blockCount) / entriesPerCluster);
    if (neededClusters > limit)
      throw new BlockError("NO_SPACE", `the refcount table would become larger than ${MAX_REFCOUNT_TABLE_BYTES} bytes`);
    if (neededBlocks <= blockCount && neededClusters <= tableClusters) return { first, blockCount, tableClusters };
    blockCount = Math.max(blockCount, neededBlocks);
    tableClusters = Math.max(tableClusters, neededClusters);
  }
}
