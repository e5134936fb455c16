/** QED images for scenarios: small clusters, so that a few MiB have several L2 tables. */

import type { BlockGraph, NodeOptions } from "@coblock/core";
import type { Lab, LabDisk } from "@coblock/testing";

export const CLUSTER = 4096;
/** Bytes that one L2 table maps, with tables of two clusters. */
export const TABLE_SPAN = (2 * CLUSTER * CLUSTER) / 8;

/** How a QED disk is made and opened. */
export interface QedDiskOptions {
  /** L2 tables that the disk has. Default 3. */
  readonly tables?: number;
  /** L2 tables that the cache has room for. Default 50. */
  readonly cachedTables?: number;
  /** Guest offsets of clusters that hold data from the beginning. */
  readonly filled?: readonly number[];
  /** A backing file full of data. Default false. */
  readonly backing?: boolean;
  /** Bytes of garbage behind the last cluster of the file. Default 0. */
  readonly tail?: number;
}

export async function qedDisk(lab: Lab, options: QedDiskOptions = {}): Promise<LabDisk> {
  const { tables = 3, cachedTables = 50, filled = [], backing = false, tail = 0 } = options;
  const size = tables * TABLE_SPAN;
  if (backing) await lab.file("sim:base", async () => new Uint8Array(TABLE_SPAN / 64).fill(0xba));
  const request = { driver: "qed", filename: "sim:disk", size, values: { cluster_size: CLUSTER, table_size: 2 } } as const;
  await lab.image(request, (graph) => fill(graph, lab, filled));
  if (tail > 0) lab.storage.put("sim:disk", Buffer.concat([lab.storage.contentOf("sim:disk"), new Uint8Array(tail).fill(0xee)]));
  const node: NodeOptions = {
    driver: "qed",
    file: "sim:disk",
    backing: backing ? { driver: "raw", file: "sim:base" } : null,
    l2CacheSize: cachedTables * 2 * CLUSTER,
  };
  return lab.open("disk", node);
}

/** Whether the file is marked as unclean, in the features of its header. */
export function hasNeedCheck(lab: Lab): boolean {
  return ((lab.storage.contentOf("sim:disk")[16] ?? 0) & 2) !== 0;
}

async function fill(graph: BlockGraph, lab: Lab, offsets: readonly number[]): Promise<void> {
  const disk = await graph.open({ driver: "qed", file: "sim:disk", backing: null });
  for (const offset of offsets) await disk.write(offset, lab.pattern(CLUSTER));
  await disk[Symbol.asyncDispose]();
}
