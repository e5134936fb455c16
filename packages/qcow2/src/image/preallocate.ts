/** Gives every cluster of a range its place in the file in advance. */

import {
  alignDown,
  alignUp,
  type Allocation,
  MAX_ZEROS,
  zeros,
  type BlockChild,
  type Preallocation,
  type WaitOptions,
} from "@coblock/core";
import { writeGuestZeros } from "../encryption/guest-cipher.ts";
import type { GuestAccess } from "./guest-access.ts";

export interface PreallocatedRange extends WaitOptions {
  readonly from: number;
  readonly to: number;
  /** `metadata`: mapped alone. `falloc`: the host reserves the space, too. `full`: zeros are written. */
  readonly mode: Exclude<Preallocation, "off">;
  /** Bytes that are allocated together. */
  readonly unit: number;
}

/**
 * Clusters that have a place keep it, with all that is there. The new ones read as zeros, or with extended L2 entries as before: these have
 * the place, and no subcluster is shown. What the cluster has before `from` stays.
 */
export async function preallocate(guest: GuestAccess, data: BlockChild, range: PreallocatedRange): Promise<void> {
  const { from, to, unit, signal } = range;
  const end = alignUp(to, unit);
  for (let at = alignDown(from, unit); at < end;) {
    signal?.throwIfAborted();
    const { placed, length } = await guest.places(at, end - at);
    if (placed) at += length;
    else if (at < from && !guest.hasSubclusters) at += await guest.copyCluster(at, from);
    else {
      const allocation = await guest.allocate(at, length, (space) => fill(data, space, range), guest.hasSubclusters);
      if (allocation.transform !== undefined && !guest.hasSubclusters) await hideBytes(guest, allocation);
      at = allocation.offset + allocation.length;
    }
  }
}

async function fill(data: BlockChild, space: Allocation, { mode, signal }: PreallocatedRange): Promise<void> {
  const { childOffset, length, readsZero } = space;
  if (mode === "full") await writeZeros(data, childOffset, length, signal);
  else if (!readsZero) await data.writeZeroes(childOffset, length, { mayUnmap: mode === "metadata" });
  else if (mode === "falloc") await data.resize(childOffset + length, { preallocation: "falloc", shrink: false, signal });
  await lengthen(data, childOffset + length);
}

/** Zeros in the file are no zeros to a guest whose bytes are encrypted: the clusters say that they are, or hold what becomes zeros. */
async function hideBytes(guest: GuestAccess, allocation: Allocation): Promise<void> {
  const { offset, length } = allocation;
  if (!(await guest.zeroInPlace(offset, length))) await writeGuestZeros(allocation, offset, length);
}

/** What is mapped must lie in the file, as far as its length tells. */
export async function lengthen(child: BlockChild, length: number): Promise<void> {
  if (length > child.size) await child.write(length - 1, zeros(1));
}

async function writeZeros(child: BlockChild, offset: number, length: number, signal: AbortSignal | undefined): Promise<void> {
  for (let done = 0; done < length; done += MAX_ZEROS)
    await child.write(offset + done, zeros(Math.min(MAX_ZEROS, length - done)), { signal });
}
