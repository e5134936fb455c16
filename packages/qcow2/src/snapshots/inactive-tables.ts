/** Where the L2 tables of snapshots lie, for the overlap check that costs a look at every snapshot. */

import { clusterOf } from "../format/geometry.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import type { L1Table } from "../metadata/l1-table.ts";
import type { Metadata } from "../metadata/metadata.ts";
import type { MetadataKind } from "../metadata/metadata-map.ts";
import { checkSnapshotL1, readSnapshotL1 } from "./snapshot-l1.ts";

/** Clusters; none where they are not `checked`. Throws CORRUPT_IMAGE where a table cannot be, or an entry of it. */
export async function inactiveL2Clusters(
  metadata: Metadata,
  snapshots: readonly Snapshot[],
  checked: ReadonlySet<MetadataKind>,
): Promise<ReadonlySet<number>> {
  const clusters = new Set<number>();
  if (!checked.has("inactive L2 table")) return clusters;
  for (const snapshot of snapshots) {
    checkSnapshotL1(snapshot, metadata.geometry, 0, metadata.file.child.fileName);
    addTables(clusters, metadata, await readSnapshotL1(metadata, snapshot));
  }
  return clusters;
}

/** Adds the clusters of the L2 tables that `l1` leads to. */
export function addTables(clusters: Set<number>, { geometry }: Metadata, l1: L1Table): void {
  for (let index = 0; index < l1.entries; index++) {
    const offset = l1.l2Offset(index);
    if (offset !== 0) clusters.add(clusterOf(geometry, offset));
  }
}
