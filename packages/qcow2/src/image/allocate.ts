/** New space for guest clusters: found, and linked into the L2 table when its data is there, or given back. */

import { assert, type Allocation, type AllocationRequest, type BlockChild, hex, type Transform, type Wait } from "@coblock/core";
import { compressedEntryFor, EMPTY, entryFor, isCopied, maxCompressedOffset } from "../format/entries.ts";
import type { ClusterRun } from "../metadata/free-runs.ts";
import { hostOffsetAt, type L2Place } from "../metadata/l2-entry.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { kindAt, ownsSpace, planDrops } from "../metadata/owned-space.ts";
import { presentL2, type PresentL2, type WritableL2, writableL2 } from "../metadata/writable-l2.ts";
import { ALL_SUBCLUSTERS, SUBCLUSTERS, subclusterBits, subclustersAt } from "./subclusters.ts";

/** What `link` and `abandon` need to know of an allocation. */
export interface Ticket {
  readonly l2: WritableL2;
  /** Entries from `l2.index` on. */
  readonly count: number;
  /** Bytes of the host cluster of the first entry. */
  readonly host: number;
  /** `fresh`: clusters that were free. `own`: the entries have the space already. `packed`: compressed bytes. */
  readonly space: "fresh" | "own" | "packed";
  /** Compressed bytes. */
  readonly storedLength: number;
}

export interface AllocateParts {
  readonly metadata: Metadata;
  readonly writable: WritableMetadata;
  readonly data: BlockChild;
  /** The image is encrypted. */
  readonly transform: Transform | undefined;
}

/** What one allocation can serve, in entries of one slice of an L2 table. */
interface Stretch {
  readonly kind: "new" | "replace" | "own";
  readonly count: number;
}

/** Room for whole (sub)clusters, or for one compressed one; serves a prefix that lies in one slice of an L2 table and in one row of clusters. */
export async function allocate(parts: AllocateParts, request: AllocationRequest): Promise<Allocation<Ticket> | Wait> {
  const { metadata, writable } = parts;
  const l2 = await writableL2(metadata, writable, request.offset);
  if (l2.kind === "wait") return l2;
  try {
    return await (request.storedLength === undefined
      ? allocateClusters(parts, l2, request)
      : allocatePacked(parts, l2, request, request.storedLength));
  } catch (error) {
    l2.pin[Symbol.dispose]();
    throw error;
  }
}

/** `allocate` where the tables that it takes are in memory and can be changed; else `undefined`. */
export function allocateNow(parts: AllocateParts, request: AllocationRequest): Allocation<Ticket> | undefined {
  const { metadata } = parts;
  const found = presentL2(metadata, request.offset);
  if (found === undefined || request.storedLength !== undefined) return undefined;
  const { slice, place, index } = found;
  const wanted = wantedSpace(parts, found, request);
  const space = findSpaceNow(parts, place, index, wanted);
  if (space === undefined) return undefined;
  const l2: WritableL2 = { kind: "writable", slice, place, index, pin: metadata.l2.slices.pin(slice) };
  return allocationOf(parts, l2, request, wanted, space);
}

async function allocateClusters(parts: AllocateParts, l2: WritableL2, request: AllocationRequest): Promise<Allocation<Ticket>> {
  const wanted = wantedSpace(parts, l2, request);
  const space = await findSpace(parts, l2.place, l2.index, wanted);
  return allocationOf(parts, l2, request, wanted, space);
}

/** What is to be found for a request: for guest clusters from `start` on. */
interface WantedSpace {
  readonly start: number;
  readonly stretch: Stretch;
  /** Bytes of the file that is to have the space: behind them it reads as zeros. */
  readonly sizeBefore: number;
}

/** Host clusters in a row. */
interface FoundSpace {
  readonly host: number;
  readonly count: number;
}

function wantedSpace({ metadata, data }: AllocateParts, { place, index }: PresentL2, { offset, length }: AllocationRequest): WantedSpace {
  const { clusterSize } = metadata.geometry;
  const start = offset - (offset % clusterSize);
  const wanted = Math.min(Math.ceil((offset + length - start) / clusterSize), metadata.l2.sliceEntries - index);
  return { start, stretch: stretchAt(place, index, wanted), sizeBefore: data.size };
}

function allocationOf(
  { metadata, data, transform }: AllocateParts,
  l2: WritableL2,
  { offset, length }: AllocationRequest,
  { start, stretch, sizeBefore }: WantedSpace,
  { host, count }: FoundSpace,
): Allocation<Ticket> {
  const { geometry } = metadata;
  const { clusterSize } = geometry;
  // A cluster that replaces another must hold all that the other held; else the subclusters asked for are enough.
  const first = stretch.kind === "replace" ? start : offset;
  const end = stretch.kind === "replace" ? start + count * clusterSize : Math.min(start + count * clusterSize, offset + length);
  return {
    offset: first,
    length: end - first,
    child: data,
    childOffset: host + (first - start),
    readsZero: stretch.kind !== "own" && host >= sizeBefore,
    transform,
    ticket: { l2, count, host, space: stretch.kind === "own" || geometry.externalData ? "own" : "fresh", storedLength: 0 },
  };
}

/** Host offset of space for the stretch, or for the beginning of it. */
async function findSpace(
  { metadata, writable }: AllocateParts,
  place: L2Place,
  index: number,
  { start, stretch: { kind, count } }: WantedSpace,
): Promise<FoundSpace> {
  const { geometry, file } = metadata;
  if (geometry.externalData) return { host: start, count };
  if (kind === "own") {
    const host = hostOffsetAt(place, index);
    const other = writable.map.find(host, count * geometry.clusterSize);
    if (other !== undefined)
      await file.failDamaged(file.corrupt(`a guest cluster has space at offset ${hex(host)}, over the ${other}`, host));
    return { host, count };
  }
  const run: ClusterRun = await writable.clusters.allocate(count);
  return { host: run.first * geometry.clusterSize, count: run.count };
}

/** `findSpace` where that needs no table that is not in memory, and meets nothing wrong. */
function findSpaceNow(
  { metadata, writable }: AllocateParts,
  place: L2Place,
  index: number,
  { start, stretch: { kind, count } }: WantedSpace,
): FoundSpace | undefined {
  const { geometry } = metadata;
  if (geometry.externalData) return { host: start, count };
  if (kind === "own") {
    const host = hostOffsetAt(place, index);
    return writable.map.find(host, count * geometry.clusterSize) === undefined ? { host, count } : undefined;
  }
  const run = writable.clusters.allocateNow(count);
  return run === undefined ? undefined : { host: run.first * geometry.clusterSize, count: run.count };
}

/** Entries from `index` on that can be served alike. */
function stretchAt(place: L2Place, index: number, wanted: number): Stretch {
  const kind = stretchKind(place, index);
  let count = 1;
  while (count < wanted && stretchKind(place, index + count) === kind && (kind !== "own" || isNextInRow(place, index, count))) count++;
  return { kind, count };
}

/** `own`: space that only this entry owns and that is not read. `replace`: bytes that must move. */
function stretchKind(place: L2Place, index: number): Stretch["kind"] {
  const { kind, high } = kindAt(place, index);
  if (kind === "compressed") return "replace";
  if (place.geometry.extendedL2) {
    const { placed, copied } = subclustersAt(place, index);
    return placed ? (copied ? "own" : "replace") : "new";
  }
  hostOffsetAt(place, index);
  if (kind === "reserved" && isCopied(high)) return "own";
  return kind === "unallocated" || kind === "zero" ? "new" : "replace";
}

function isNextInRow(place: L2Place, index: number, count: number): boolean {
  return hostOffsetAt(place, index + count) === hostOffsetAt(place, index) + count * place.geometry.clusterSize;
}

async function allocatePacked(
  { metadata, writable, data }: AllocateParts,
  l2: WritableL2,
  { offset, length }: AllocationRequest,
  storedLength: number,
): Promise<Allocation<Ticket>> {
  const { geometry, file } = metadata;
  assert(length === geometry.clusterSize && !geometry.externalData, "a compressed cluster is whole and in the image file");
  const childOffset = await writable.references.allocateBytes(storedLength);
  if (childOffset + storedLength > maxCompressedOffset(geometry.clusterBits)) {
    await writable.references.giveBackBytes(childOffset, storedLength);
    throw file.noSpace("compressed clusters cannot lie further back in the file");
  }
  return {
    offset,
    length,
    child: data,
    childOffset,
    readsZero: false,
    ticket: { l2, count: 1, host: childOffset, space: "packed", storedLength },
  };
}

/**
 * Shows the new space in the L2 table, and gives up what the entries owned; where that cannot be found out, the space goes back.
 * `reserves`: with extended L2 entries the space is there, and no subcluster is shown.
 */
export async function link(parts: AllocateParts, allocation: Allocation<Ticket>, reserves = false): Promise<void> {
  const { metadata, writable } = parts;
  const { l2, count, space } = allocation.ticket;
  const { place, index } = l2;
  using _pin = l2.pin;
  try {
    if (space === "packed") await metadata.file.event("l2_update_compressed");
    const indices = space === "own" ? [] : Array.from({ length: count }, (_, step) => index + step);
    const drops = await planDrops(writable.references, place, indices);
    for (let step = 0; step < count; step++) setEntry(place, allocation, step, reserves);
    metadata.l2.slices.markDirty(l2.slice);
    writable.references.commit(drops, "other");
  } catch (error) {
    await giveBack(parts, allocation.ticket);
    throw error;
  }
}

/** `link` where nothing is given up by it, so that it meets no other table and cannot fail. */
export function linkNow({ metadata }: AllocateParts, allocation: Allocation<Ticket>): boolean {
  const { l2, count, space } = allocation.ticket;
  const { place, index } = l2;
  if (space === "packed") return false;
  for (let step = 0; step < count && space === "fresh"; step++) if (ownsSpace(place, index + step)) return false;
  for (let step = 0; step < count; step++) setEntry(place, allocation, step, false);
  metadata.l2.slices.markDirty(l2.slice);
  l2.pin[Symbol.dispose]();
  return true;
}

/** The data was not written: nobody will ever see the space. */
export async function abandon(parts: AllocateParts, { ticket }: Allocation<Ticket>): Promise<void> {
  using _pin = ticket.l2.pin;
  await giveBack(parts, ticket);
}

async function giveBack({ metadata, writable }: AllocateParts, { host, count, space, storedLength }: Ticket): Promise<void> {
  if (space === "fresh") await writable.clusters.giveBack(host / metadata.geometry.clusterSize, count);
  if (space === "packed") await writable.references.giveBackBytes(host, storedLength);
}

function setEntry(place: L2Place, allocation: Allocation<Ticket>, step: number, reserves: boolean): void {
  const { geometry, table } = place;
  const { l2, host, space, storedLength } = allocation.ticket;
  const { clusterSize, clusterBits } = geometry;
  const at = l2.index + step;
  const entry = space === "packed" ? compressedEntryFor(host, storedLength, clusterBits) : entryFor(host + step * clusterSize, true);
  if (!geometry.extendedL2) return table.set(at, entry);
  if (reserves) return table.set(at * 2, entry);
  const bitmap = space === "packed" ? EMPTY : subclustersWith(place, allocation, at, step);
  table.set(at * 2, entry);
  table.set(at * 2 + 1, bitmap);
}

/** The subclusters of an entry, with those of the allocation being data now. */
function subclustersWith(
  place: L2Place,
  allocation: Allocation<Ticket>,
  index: number,
  step: number,
): { readonly high: number; readonly low: number } {
  const { clusterSize, subclusterSize } = place.geometry;
  const start = allocation.offset - (allocation.offset % clusterSize) + step * clusterSize;
  const from = Math.max(0, allocation.offset - start) / subclusterSize;
  const to = Math.min(SUBCLUSTERS, Math.ceil((allocation.offset + allocation.length - start) / subclusterSize));
  const covered = subclusterBits(from, to - from);
  if (covered === ALL_SUBCLUSTERS) return { high: 0, low: ALL_SUBCLUSTERS };
  const { allocated, zeros } = subclustersAt(place, index);
  return { high: (zeros & ~covered) >>> 0, low: (allocated | covered) >>> 0 };
}
