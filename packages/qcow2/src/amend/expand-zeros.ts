/** Clusters that say "reads as zeros" become clusters of zeros, or none: version 2 cannot say it. */

import type { CachedTable } from "@coblock/core";
import { EMPTY, type Entry, entryFor, offsetOf, ZERO_LOW } from "../format/entries.ts";
import { clusterOf } from "../format/geometry.ts";
import type { L1Table } from "../metadata/l1-table.ts";
import { entriesIn, type L2Place } from "../metadata/l2-entry.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { kindAt } from "../metadata/owned-space.ts";
import type { ReferenceDrops } from "../metadata/references.ts";
import type { TableBytes } from "../metadata/table-bytes.ts";
import type { AmendProgress } from "./progress.ts";

export interface TableWalkParts {
  readonly metadata: Metadata;
  readonly writable: WritableMetadata;
  /** The active one, and those of all snapshots. */
  readonly l1Tables: readonly L1Table[];
  readonly progress: AmendProgress;
}

/** An L2 table that one or more L1 entries lead to. */
interface SharedTable {
  readonly offset: number;
  /** L1 entry of the first that leads to it. */
  readonly l1Index: number;
}

/** Each table once. */
export function l2TablesOf(l1Tables: readonly L1Table[]): readonly SharedTable[] {
  const tables = new Map<number, number>();
  for (const l1 of l1Tables) {
    for (let index = 0; index < l1.entries; index++) {
      const offset = l1.l2Offset(index);
      if (offset !== 0 && !tables.has(offset)) tables.set(offset, index);
    }
  }
  return [...tables].map(([offset, l1Index]) => ({ offset, l1Index }));
}

/** Whether one of the tables has a compressed cluster. */
export async function hasCompressedClusters(parts: TableWalkParts): Promise<boolean> {
  parts.progress.expect(l2TablesOf(parts.l1Tables).length);
  for await (const { place } of slicesOf(parts)) {
    for (let index = 0; index < entriesIn(place); index++) if (kindAt(place, index).kind === "compressed") return true;
  }
  return false;
}

/**
 * Under the driver lock, with everything written out, in an image without extended L2 entries and without a data file. What the tables
 * show stays the same at every moment, also for snapshots, so that a crash leaves leaks at most. `hasBacking`: a cluster that is not
 * allocated need not read as zeros.
 */
export async function expandZeroClusters(parts: TableWalkParts, hasBacking: boolean): Promise<void> {
  const { metadata, writable } = parts;
  const { l2 } = metadata;
  for await (const { slice, place, owners } of slicesOf(parts)) {
    using _pin = l2.slices.pin(slice);
    for (let index = 0; index < entriesIn(place); index++) {
      const change = await replacement(parts, place, index, { owners, hasBacking });
      if (change === undefined) continue;
      writable.writeOut.wroteData(metadata.file.child);
      place.table.set(index, change.entry);
      l2.slices.markDirty(slice);
      if (change.drops !== undefined) writable.references.commit(change.drops, "other");
    }
  }
}

interface Slice {
  readonly slice: CachedTable<TableBytes>;
  readonly place: L2Place;
  /** L1 entries that lead to the table: each cluster in it has as many references. */
  readonly owners: number;
}

async function* slicesOf({ metadata, writable, l1Tables, progress }: TableWalkParts): AsyncGenerator<Slice> {
  const { l2, file, geometry } = metadata;
  for (const { offset, l1Index } of l2TablesOf(l1Tables)) {
    progress.step();
    const owners = await writable.refcounts.get(clusterOf(geometry, offset));
    for (let firstEntry = 0; firstEntry < geometry.l2Entries; firstEntry += l2.sliceEntries) {
      const slice = await l2.fetch(offset, firstEntry);
      yield { slice, owners, place: { file, geometry, table: slice.table, l1Index, offset: slice.offset, firstEntry } };
    }
  }
}

interface Replacement {
  readonly entry: Entry;
  readonly drops?: ReferenceDrops;
}

/** The entry that version 2 can hold, with what it leads to written. `undefined`: it can stay. */
async function replacement(
  { metadata, writable }: TableWalkParts,
  place: L2Place,
  index: number,
  { owners, hasBacking }: { readonly owners: number; readonly hasBacking: boolean },
): Promise<Replacement | undefined> {
  const { high, low, kind } = kindAt(place, index);
  if (kind !== "zero" && kind !== "reserved") return undefined;
  const { file, geometry } = metadata;
  const { references, refcounts, clusters } = writable;
  let drops: { readonly drops?: ReferenceDrops } = {};
  if (kind === "reserved") {
    const offset = offsetOf(high, low);
    const cluster = clusterOf(geometry, offset);
    if ((await refcounts.get(cluster)) === owners) {
      await file.child.writeZeroes(offset, geometry.clusterSize);
      return { entry: { high, low: low - ZERO_LOW } };
    }
    // Another table shows what is there: a snapshot keeps its data.
    drops = {
      drops: await references.plan(
        [],
        Array.from({ length: owners }, () => cluster),
      ),
    };
  }
  if (!hasBacking) return { entry: EMPTY, ...drops };
  const { first } = await clusters.allocate(1);
  for (let more = 1; more < owners; more++) await refcounts.raise(first);
  const offset = first * geometry.clusterSize;
  await file.child.writeZeroes(offset, geometry.clusterSize);
  return { entry: entryFor(offset, owners === 1), ...drops };
}
