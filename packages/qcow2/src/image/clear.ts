/** Zeros and holes without data: whole clusters become "reads as zeros" or "not allocated", one slice of an L2 table at a time. */

import type { BlockChild, Wait } from "@coblock/core";
import { EMPTY, type Entry, type L2Kind, ZERO_LOW } from "../format/entries.ts";
import { l1IndexOf, l2IndexOf } from "../format/geometry.ts";
import type { L2Place } from "../metadata/l2-entry.ts";
import type { FreedBy } from "../metadata/freed-space.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { kindAt, planDrops } from "../metadata/owned-space.ts";
import { writableL2 } from "../metadata/writable-l2.ts";
import { EmptiedSpace } from "./emptied-space.ts";
import { ALL_SUBCLUSTERS } from "./subclusters.ts";

export interface ClearParts {
  readonly metadata: Metadata;
  readonly writable: WritableMetadata;
  /** Holds the guest's clusters: the image file, or the data file. */
  readonly data: BlockChild;
  /** The header names a backing file, or there is one: what is not allocated need not read as zeros. */
  readonly hasBacking: boolean;
  /** The data file must read like the disk: only real zeros will do. */
  readonly rawDataFile: boolean;
  /** On whose behalf; the guest's, if nothing else is said. */
  readonly freedBy?: FreedBy;
}

/**
 * What becomes of an entry. `zero`: reads as zeros, space given up. `keep space`: reads as zeros, space kept. `keep place`: the same, and
 * the host gets what was there. `hole`: not allocated.
 */
type Change = "leave" | "zero" | "keep space" | "keep place" | "hole";

/** Makes whole clusters read as zeros; bytes done, 0 where version 2 cannot say so. */
export async function zeroClusters(parts: ClearParts, offset: number, length: number, mayUnmap: boolean): Promise<number | Wait> {
  const { hasBacking, rawDataFile, metadata } = parts;
  if (rawDataFile) return 0;
  if (metadata.geometry.version === 2 && (hasBacking || !mayUnmap)) return 0;
  if (metadata.geometry.version === 2) return changeClusters(parts, { offset, length, skipsHoles: true }, () => "hole");
  // Also where nothing shows through now: the image may get a backing file.
  return changeClusters(parts, { offset, length, skipsHoles: false }, (kind) => {
    if (kind === "unallocated") return "zero";
    return mayUnmap || kind === "compressed" ? givenUp(parts, kind) : "keep space";
  });
}

/** Drops whole clusters; bytes done, 0 where they were left as they are. */
export async function unmapClusters(parts: ClearParts, offset: number, length: number, reveal: boolean): Promise<number | Wait> {
  const { hasBacking, rawDataFile, metadata } = parts;
  if (rawDataFile) return 0;
  if (reveal) return changeClusters(parts, { offset, length, skipsHoles: true }, () => "hole");
  if (metadata.geometry.version === 2 && hasBacking) return 0;
  return changeClusters(parts, { offset, length, skipsHoles: !hasBacking }, (kind) => {
    if (kind === "unallocated") return hasBacking ? "zero" : "leave";
    return metadata.geometry.version === 2 ? "hole" : givenUp(parts, kind);
  });
}

/** Compressed data has no place of its own. */
function givenUp({ writable }: ClearParts, kind: L2Kind): Change {
  return writable.freed.keepsPlaces && (kind === "data" || kind === "reserved") ? "keep place" : "zero";
}

interface ClearRange {
  readonly offset: number;
  readonly length: number;
  /** Where there is no L2 table there is nothing to do. */
  readonly skipsHoles: boolean;
}

async function changeClusters(
  parts: ClearParts,
  { offset, length, skipsHoles }: ClearRange,
  decide: (kind: L2Kind) => Change,
): Promise<number | Wait> {
  const { metadata, writable, freedBy = "request" } = parts;
  const { geometry, l1, l2 } = metadata;
  const clusters = Math.ceil(length / geometry.clusterSize);
  if (skipsHoles && l1.l2Offset(l1IndexOf(geometry, offset)) === 0)
    return Math.min(clusters, geometry.l2Entries - l2IndexOf(geometry, offset)) * geometry.clusterSize;
  const found = await writableL2(metadata, writable, offset);
  if (found.kind === "wait") return found;
  using _pin = found.pin;
  const { place, index } = found;
  const count = Math.min(clusters, l2.sliceEntries - index);
  const changes: { readonly index: number; readonly entry: NewEntry }[] = [];
  const given: number[] = [];
  const emptied = new EmptiedSpace(parts);
  for (let at = index; at < index + count; at++) {
    const change = decide(kindAt(place, at).kind);
    const entry = change === "leave" ? undefined : newEntry(place, at, change);
    if (entry === undefined) continue;
    changes.push({ index: at, entry });
    if (change === "zero" || change === "hole") given.push(at);
    if (change !== "keep space") emptied.add(place, at, change === "keep place");
  }
  await emptied.expectAlone();
  const drops = await planDrops(writable.references, place, given);
  for (const { index: at, entry } of changes) setEntry(place, at, entry);
  if (changes.length > 0) l2.slices.markDirty(found.slice);
  writable.references.commit(drops, freedBy);
  emptied.commit(freedBy);
  return count * geometry.clusterSize;
}

/** An entry, and its subclusters where there are any. */
interface NewEntry {
  readonly entry: Entry;
  readonly bitmap: Entry;
}

/** `undefined`: it is like that already. */
function newEntry(place: L2Place, index: number, change: Exclude<Change, "leave">): NewEntry | undefined {
  const { high, low, kind } = kindAt(place, index);
  const { geometry, table } = place;
  const kept = (change === "keep space" || change === "keep place") && kind !== "compressed" ? { high, low } : EMPTY;
  const reads = change === "hole" ? 0 : 1;
  if (!geometry.extendedL2) {
    const entry = { high: kept.high, low: kept.low - (kept.low % 2) + reads * ZERO_LOW };
    return entry.high === high && entry.low === low ? undefined : { entry, bitmap: EMPTY };
  }
  const bitmap = { high: reads * ALL_SUBCLUSTERS, low: 0 };
  const same = kept.high === high && kept.low === low && table.high(index * 2 + 1) === bitmap.high && table.low(index * 2 + 1) === 0;
  return same ? undefined : { entry: kept, bitmap };
}

function setEntry({ geometry, table }: L2Place, index: number, { entry, bitmap }: NewEntry): void {
  if (!geometry.extendedL2) return table.set(index, entry);
  table.set(index * 2, entry);
  table.set(index * 2 + 1, bitmap);
}
