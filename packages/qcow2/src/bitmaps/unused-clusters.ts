/** What becomes free when bitmaps go: clusters that nothing else leads to, whatever damaged tables say. */

import { assert, BlockError, SparseSet } from "@coblock/core";
import type { Bitmap } from "../format/bitmap-directory.ts";
import { clusterOf, clustersFor } from "../format/geometry.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import type { ClusterRun } from "../metadata/free-runs.ts";
import type { Metadata } from "../metadata/metadata.ts";
import type { MetadataKind } from "../metadata/metadata-map.ts";
import { mappedAmong } from "../snapshots/mapped-clusters.ts";
import type { BitmapsChange } from "./bitmap-directory-change.ts";
import { readBitmapTable } from "./bitmap-bits.ts";

/** The clusters of a directory, or of one bitmap. */
interface Claim {
  readonly runs: readonly ClusterRun[];
  /** What it is itself. */
  readonly kind?: MetadataKind;
}

/**
 * The clusters of the directory and of `dropped`, entries of it. A bitmap that is damaged, and one that claims what other metadata, another
 * bitmap, the guest or a snapshot has, owns nothing that could be given up without doubt: it leaves leaks. All tables must be on disk.
 */
export async function unusedClusters(change: BitmapsChange, dropped: readonly Bitmap[]): Promise<readonly ClusterRun[]> {
  const { owner, metadata } = change;
  const { bitmaps, snapshots } = owner.description;
  // The directory of bitmaps that do not count has not been looked at, and stays where it is.
  if (bitmaps.length === 0) return [];
  const claimed = new SparseSet();
  const claims: Claim[] = [directoryOf(change)];
  for (const bitmap of bitmaps) {
    const runs = await runsOf(metadata, bitmap);
    if (dropped.includes(bitmap)) claims.push({ runs });
    else addAll(claimed, runs);
  }
  const sound: Claim[] = [];
  const candidates = new SparseSet();
  for (const claim of claims) {
    if (!(await isSound(change, claim, claimed))) continue;
    sound.push(claim);
    addAll(candidates, claim.runs);
  }
  const mapped = await mappedOrAll(metadata, snapshots, candidates);
  return sound.flatMap(({ runs }) => (touches(runs, mapped) ? [] : runs));
}

function directoryOf({ owner, metadata: { geometry } }: BitmapsChange): Claim {
  const { bitmaps } = owner.description.extensions;
  assert(bitmaps !== undefined, "bitmaps that count have a directory");
  const { directoryOffset, directoryLength } = bitmaps;
  return {
    runs: [{ first: clusterOf(geometry, directoryOffset), count: clustersFor(geometry, directoryLength) }],
    kind: "bitmap directory",
  };
}

/** None where it is damaged. */
async function runsOf(metadata: Metadata, bitmap: Bitmap): Promise<readonly ClusterRun[]> {
  const { geometry } = metadata;
  try {
    const table = await readBitmapTable(metadata, bitmap);
    if (table.some((cluster) => typeof cluster === "number" && cluster >= metadata.file.size)) return [];
    const data = table.flatMap((cluster) => (typeof cluster === "number" ? [{ first: clusterOf(geometry, cluster), count: 1 }] : []));
    return [{ first: clusterOf(geometry, bitmap.tableOffset), count: clustersFor(geometry, bitmap.tableEntries * 8) }, ...data];
  } catch (error) {
    if (isDamage(error)) return [];
    throw error;
  }
}

/** Whether each cluster is no other metadata, has one reference, and is not `claimed`; from now on it is. */
async function isSound({ metadata, writable }: BitmapsChange, { runs, kind }: Claim, claimed: SparseSet): Promise<boolean> {
  const { clusterSize } = metadata.geometry;
  for (const { first, count } of runs) {
    if (writable.map.findAny(first * clusterSize, count * clusterSize, kind) !== undefined) return false;
    for (let cluster = first; cluster < first + count; cluster++)
      if (!claimed.add(cluster) || (await writable.refcounts.get(cluster)) !== 1) return false;
  }
  return true;
}

/** The one reference may be the guest's or a snapshot's. Where their tables cannot be read, nobody knows. */
async function mappedOrAll(metadata: Metadata, snapshots: readonly Snapshot[], clusters: SparseSet): Promise<SparseSet> {
  try {
    return await mappedAmong(metadata, snapshots, clusters);
  } catch (error) {
    if (isDamage(error)) return clusters;
    throw error;
  }
}

function isDamage(error: unknown): boolean {
  return error instanceof BlockError && error.code === "CORRUPT_IMAGE";
}

function addAll(clusters: SparseSet, runs: readonly ClusterRun[]): void {
  for (const { first, count } of runs) for (let cluster = first; cluster < first + count; cluster++) clusters.add(cluster);
}

function touches(runs: readonly ClusterRun[], clusters: SparseSet): boolean {
  return runs.some(({ first, count }) => Array.from({ length: count }, (_, step) => first + step).some((cluster) => clusters.has(cluster)));
}
