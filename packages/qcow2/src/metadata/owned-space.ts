/** What the entries of an L2 table own in the image file. */

import { isCopied, l2KindOf, type L2Kind } from "../format/entries.ts";
import { clusterOf } from "../format/geometry.ts";
import { compressedPlaceAt, hostOffsetAt, type L2Place } from "./l2-entry.ts";
import type { ReferenceDrops, References } from "./references.ts";

/**
 * Looks up what it takes to give up all that the entries at `indices` own. Clusters of a data file are not counted and never given up:
 * each belongs to one guest cluster for good.
 */
export function planDrops(references: References, place: L2Place, indices: readonly number[]): Promise<ReferenceDrops> {
  const owned: { first: number; count: number }[] = [];
  const shared: number[] = [];
  for (const index of indices) {
    const { high, kind } = kindAt(place, index);
    if (kind === "compressed") {
      const { offset, length } = compressedPlaceAt(place, index);
      const run = references.clustersOf(offset, length);
      for (let cluster = run.first; cluster < run.first + run.count; cluster++) shared.push(cluster);
    } else if ((kind === "data" || kind === "reserved") && !place.geometry.externalData) {
      const cluster = clusterOf(place.geometry, hostOffsetAt(place, index));
      if (isCopied(high)) addCluster(owned, cluster);
      else shared.push(cluster);
    }
  }
  return references.plan(owned, shared);
}

/** What entry `index` is; with extended entries "data" is any that has a host cluster. */
export function kindAt(
  { table, geometry }: L2Place,
  index: number,
): { readonly high: number; readonly low: number; readonly kind: L2Kind } {
  const word = geometry.extendedL2 ? index * 2 : index;
  const high = table.high(word);
  const low = table.low(word);
  return { high, low, kind: l2KindOf(high, low, geometry.zeroFlag, geometry.externalData) };
}

/** Whether to change the entry gives up space of the image file, or of a data file. */
export function ownsSpace(place: L2Place, index: number): boolean {
  const { kind } = kindAt(place, index);
  return kind !== "unallocated" && kind !== "zero";
}

function addCluster(runs: { first: number; count: number }[], cluster: number): void {
  const last: { first: number; count: number } | undefined = runs[runs.length - 1];
  if (last !== undefined && last.first + last.count === cluster) last.count++;
  else runs.push({ first: cluster, count: 1 });
}
