/** Gives every cluster of a range its place in the file in advance. */

import { alignDown, alignUp, type Allocation, MAX_ZEROS, zeros, type BlockChild, type Preallocation } from "@coblock/core";
import { writeGuestZeros } from "../encryption/guest-cipher.ts";
import type { GuestAccess } from "./guest-access.ts";

export interface PreallocatedRange {
  readonly from: number;
  readonly to: number;
  /** `metadata`: mapped alone. `falloc`: the host reserves the space, too. `full`: zeros are written. */
  readonly mode: Exclude<Preallocation, "off">;
  /** Bytes that are allocated together. */
  readonly unit: number;
}

/** Clusters that have a place keep it. The new ones read as zeros. */
export async function preallocate(guest: GuestAccess, data: BlockChild, { from, to, mode, unit }: PreallocatedRange): Promise<void> {
  for (let at = from; at < to;) {
    const run = await guest.map(at, to - at);
    if (run.kind !== "unallocated" && run.kind !== "zero") {
      at += run.length;
      continue;
    }
    const start = alignDown(at, unit);
    const allocation = await guest.allocate(start, alignUp(to, unit) - start, async ({ childOffset, length, readsZero }) => {
      if (mode === "full") await writeZeros(data, childOffset, length);
      else if (!readsZero) await data.writeZeroes(childOffset, length);
      else if (mode === "falloc") await data.resize(childOffset + length, { preallocation: "falloc", shrink: false });
      await lengthen(data, childOffset + length);
    });
    if (allocation.transform !== undefined) await hideBytes(guest, allocation);
    at = allocation.offset + allocation.length;
  }
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

async function writeZeros(child: BlockChild, offset: number, length: number): Promise<void> {
  for (let done = 0; done < length; done += MAX_ZEROS) await child.write(offset + done, zeros(Math.min(MAX_ZEROS, length - done)));
}
