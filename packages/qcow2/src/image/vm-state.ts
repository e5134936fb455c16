/** The state of a machine: guest clusters from the first L1 entry on that the disk does not need. qcow2 spec, "Snapshots". */

import { alignDown, alignUp, assert, BlockError, type Guarded, type ImageVmState, type OpenContext } from "@coblock/core";
import { type Geometry, l1EntriesFor } from "../format/geometry.ts";
import { MAX_L1_BYTES } from "../format/limits.ts";
import type { Metadata } from "../metadata/metadata.ts";
import type { ClearParts } from "./clear.ts";
import { growL1 } from "./grow-l1.ts";
import { GuestAccess } from "./guest-access.ts";
import { GuestReader } from "./guest-reader.ts";
import type { LookupParts } from "./lookup.ts";

/** The image around it, as it is now. */
export interface VmStateParts {
  readonly geometry: Geometry;
  readonly state: Guarded<Metadata>;
  readonly context: OpenContext;
  /** Of the disk, bytes. */
  readonly size: number;
  readonly lookup: LookupParts;
  clear(metadata: Metadata): ClearParts;
}

/** Encrypted sectors are written whole. */
const SECTOR = 512;

/** A backing file never shows in it. */
export class Qcow2VmState implements ImageVmState {
  readonly #partsNow: () => VmStateParts;

  constructor(parts: () => VmStateParts) {
    this.#partsNow = parts;
  }

  async read(position: number, into: Uint8Array): Promise<void> {
    const parts = this.#partsNow();
    using guard = await parts.state.lock({ who: "VM state" });
    await readAt(parts, guard.value, startOf(parts) + position, into);
  }

  async write(position: number, from: Uint8Array): Promise<void> {
    const parts = this.#partsNow();
    const { geometry, state, lookup } = parts;
    const start = startOf(parts) + position;
    const end = start + from.length;
    expectRoomForState(parts, position + from.length);
    using guard = await state.lock({ who: "VM state" });
    const metadata = guard.value;
    const { writable } = metadata;
    assert(writable !== undefined, "an image that is written was opened for writing");
    const first = alignDown(start, SECTOR);
    const bytes = new Uint8Array(alignUp(end, SECTOR) - first);
    if (bytes.length > from.length) await readAt(parts, metadata, first, bytes);
    bytes.set(from, start - first);
    const entries = l1EntriesFor(geometry, end);
    if (from.length > 0 && entries > metadata.l1.entries) await growL1(metadata, writable, entries);
    const guest = new GuestAccess({ metadata, writable, lookup, backing: undefined, clear: parts.clear(metadata) });
    await guest.write(first, bytes);
  }
}

/** Where the state begins, in addresses of the guest. */
function startOf({ geometry, size }: Pick<VmStateParts, "geometry" | "size">): number {
  return l1EntriesFor(geometry, size) * geometry.l2Coverage;
}

/** Throws OUT_OF_RANGE where a state of `length` bytes cannot be mapped, and UNSUPPORTED_FEATURE where the image has no room for any. */
export function expectRoomForState(image: Pick<VmStateParts, "geometry" | "size" | "context">, length: number): void {
  const { geometry, context } = image;
  const end = startOf(image) + length;
  const { fileName, nodeName: node } = context;
  if (geometry.externalData)
    throw new BlockError("UNSUPPORTED_FEATURE", `${fileName}: an image with a data file has no room for the state of a machine`, { node });
  if (Number.isSafeInteger(end) && l1EntriesFor(geometry, end) * 8 <= MAX_L1_BYTES) return;
  throw new BlockError(
    "OUT_OF_RANGE",
    `${fileName}: the state of the machine is more than clusters of ${geometry.clusterSize} bytes can map`,
    {
      node,
    },
  );
}

/** Behind the L1 table there is nothing. */
async function readAt({ geometry, lookup }: VmStateParts, metadata: Metadata, offset: number, into: Uint8Array): Promise<void> {
  const mapped = Math.min(into.length, Math.max(0, metadata.l1.entries * geometry.l2Coverage - offset));
  into.fill(0, mapped);
  await new GuestReader({ metadata, lookup, backing: undefined }).read(offset, into.subarray(0, mapped));
}
