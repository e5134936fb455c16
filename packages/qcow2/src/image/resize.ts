/** Gives the disk another size. Larger: a longer L1 table where it needs one, zeros where the backing file would show, and the new size last. */

import {
  assert,
  BlockError,
  type BlockChild,
  type Guarded,
  type OpenContext,
  type Preallocation,
  type ResizeOptions,
  type Wait,
} from "@coblock/core";
import { type Geometry, l1EntriesFor } from "../format/geometry.ts";
import { MAX_L1_BYTES } from "../format/limits.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { type ClearParts, unmapClusters, zeroClusters } from "./clear.ts";
import type { Description } from "./description.ts";
import { growL1 } from "./grow-l1.ts";
import { GuestAccess } from "./guest-access.ts";
import type { LookupParts } from "./lookup.ts";
import { lengthen, preallocate } from "./preallocate.ts";
import { shrinkDisk } from "./shrink.ts";

export interface ResizeParts {
  readonly description: Description;
  readonly geometry: Geometry;
  readonly state: Guarded<Metadata>;
  readonly data: BlockChild;
  readonly backing: BlockChild | undefined;
  readonly context: OpenContext;
  readonly currentSize: number;
  readonly lookup: LookupParts;
  readonly clear: (metadata: Metadata) => ClearParts;
}

const SECTOR = 512;

/** In exclusive mode. Answers the new size. A crash before the last step leaves the old size and at most leaks. */
export async function resizeImage(parts: ResizeParts, size: number, options: ResizeOptions): Promise<number> {
  const { currentSize, state } = parts;
  const { preallocation, shrink } = options;
  assert(size >= currentSize || shrink, "core has asked whether data may be lost");
  refuse(parts, size, preallocation);
  if (size > currentSize) refuseGrowth(parts, size);
  if (size === currentSize) return size;
  using guard = await state.lock();
  const { writable } = guard.value;
  assert(writable !== undefined, "an image that is resized was opened for writing");
  if (size < currentSize) await shrinkDisk(parts, guard.value, writable, size);
  else await growDisk(parts, guard.value, writable, size, options);
  return size;
}

async function growDisk(
  parts: ResizeParts,
  metadata: Metadata,
  writable: WritableMetadata,
  size: number,
  { preallocation, signal }: ResizeOptions,
): Promise<void> {
  const { currentSize, geometry, data } = parts;
  const { file, l1 } = metadata;
  const entries = l1EntriesFor(geometry, size);
  if (entries > l1.entries) await growL1(metadata, writable, entries);
  const guest = new GuestAccess({ metadata, writable, lookup: parts.lookup, backing: parts.backing, clear: parts.clear(metadata) });
  await dropVmState(parts, metadata, guest, size);
  await clearNewArea(parts, metadata, guest, size);
  const { rawDataFile } = parts.clear(metadata);
  if (geometry.externalData) await lengthen(data, size);
  if (preallocation !== "off" || rawDataFile) {
    await preallocate(guest, data, {
      from: currentSize,
      to: size,
      unit: geometry.clusterSize,
      mode: preallocation === "off" ? "metadata" : preallocation,
      signal,
    });
  }
  await writable.writeOut.all();
  for (const child of new Set([data, file.child])) await child.flush();
  await file.setSize(size);
}

type Fail = (code: "UNSUPPORTED_FEATURE" | "INVALID_OPTION", reason: string) => never;

function failOf({ context }: ResizeParts): Fail {
  return (code, reason) => {
    throw new BlockError(code, `${context.fileName}: ${reason}`, { node: context.nodeName });
  };
}

function refuse(parts: ResizeParts, size: number, preallocation: Preallocation): void {
  const { currentSize, description, geometry } = parts;
  const fail = failOf(parts);
  if (size % SECTOR !== 0) fail("INVALID_OPTION", `${size} bytes are not whole sectors of ${SECTOR} bytes`);
  if (size < currentSize && preallocation !== "off") fail("INVALID_OPTION", "Preallocation can't be used for shrinking an image");
  if (geometry.version === 2 && description.snapshots.length > 0)
    fail("UNSUPPORTED_FEATURE", "Can't resize a v2 image which has snapshots");
}

function refuseGrowth(parts: ResizeParts, size: number): void {
  const { currentSize, description, geometry, backing } = parts;
  const fail = failOf(parts);
  const hasBacking = backing !== undefined || description.header.backingOffset !== 0;
  if (l1EntriesFor(geometry, size) * 8 > MAX_L1_BYTES)
    fail("INVALID_OPTION", `${size} bytes are more than clusters of ${geometry.clusterSize} bytes can map`);
  if (hasBacking && backing === undefined)
    fail("INVALID_OPTION", "the image is open without its backing file, which might show in the new area");
  if (geometry.version === 2 && backing !== undefined && backing.size > currentSize) {
    fail("UNSUPPORTED_FEATURE", "the backing file is longer than the image and would show in the new area, which version 2 cannot hide");
  }
}

/** A VM state lies behind the end of the disk, from the next L1 entry on: the disk must not come to show what was left of one. */
async function dropVmState(
  { currentSize, geometry, clear }: ResizeParts,
  metadata: Metadata,
  guest: GuestAccess,
  size: number,
): Promise<void> {
  const { l1 } = metadata;
  if (geometry.externalData) return;
  const end = Math.min(l1.entries, l1EntriesFor(geometry, size));
  for (let index = l1EntriesFor(geometry, currentSize); index < end; index++) {
    const tableEnd = (index + 1) * geometry.l2Coverage;
    for (let at = index * geometry.l2Coverage; l1.l2Offset(index) !== 0 && at < tableEnd;) {
      await guest.load(at);
      at += done(await unmapClusters(clear(metadata), at, tableEnd - at, true));
    }
  }
}

function done(cleared: number | Wait): number {
  assert(typeof cleared === "number" && cleared > 0, "the table is loaded, and can say what is asked");
  return cleared;
}

/** The rest of the last cluster may hold anything; behind it, what the backing file has would show. */
async function clearNewArea(
  { currentSize, geometry, backing, clear }: ResizeParts,
  metadata: Metadata,
  guest: GuestAccess,
  size: number,
): Promise<void> {
  const lastClusterEnd = Math.ceil(currentSize / geometry.clusterSize) * geometry.clusterSize;
  await guest.writeZeros(currentSize, lastClusterEnd - currentSize, currentSize);
  const shown = Math.min(size, backing?.size ?? 0);
  for (let at = lastClusterEnd; at < shown;) {
    await guest.load(at);
    at += done(await zeroClusters(clear(metadata), at, shown - at, false));
  }
}
