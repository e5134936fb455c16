/** Requests that do not fit the alignment of an image: read more and cut, or read, change and write back. */

import type { BlockImage, IoOptions } from "../driver.ts";
import { alignDown, alignUp } from "../binary/align.ts";
import { BlockError } from "../errors.ts";

/** Reads the aligned range around, and keeps the part that was asked for. */
export async function readUnaligned(image: BlockImage, offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
  const { start, bytes } = window(image, offset, into.length);
  await image.read(start, present(image, start, bytes), options);
  into.set(bytes.subarray(offset - start, offset - start + into.length));
}

/**
 * The caller holds the whole aligned range as a serialising request. What lies behind the end of the image counts as zeros: it is written
 * by a request that makes the image larger, which then ends with a whole unit, and by no other.
 */
export async function writeUnaligned(image: BlockImage, offset: number, from: Uint8Array, options: IoOptions | undefined): Promise<void> {
  if (image.write === undefined) throw new BlockError("READ_ONLY", "the driver cannot write");
  const { start, bytes } = window(image, offset, from.length);
  const alignment = image.limits.requestAlignment;
  const tail = bytes.length - alignment;
  const headIsPartial = offset !== start;
  const tailIsPartial = offset + from.length < start + bytes.length;
  if (headIsPartial) {
    await image.event?.("pwritev_rmw_head");
    await readPresent(image, start, bytes.subarray(0, alignment), options);
    await image.event?.("pwritev_rmw_after_head");
  }
  if (tailIsPartial && (tail > 0 || !headIsPartial)) {
    await image.event?.("pwritev_rmw_tail");
    await readPresent(image, start + tail, bytes.subarray(tail), options);
    await image.event?.("pwritev_rmw_after_tail");
  }
  bytes.set(from, offset - start);
  await image.write(start, offset + from.length > image.size ? bytes : present(image, start, bytes), options);
}

async function readPresent(image: BlockImage, offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
  const inside = present(image, offset, into);
  if (inside.length > 0) await image.read(offset, inside, options);
}

/** The part of `bytes`, which stand at `offset`, that lies before the end of the image. */
function present(image: BlockImage, offset: number, bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, Math.max(0, image.size - offset));
}

/** Zeros for the whole units that the range touches. */
function window(image: BlockImage, offset: number, length: number): { readonly start: number; readonly bytes: Uint8Array } {
  const alignment = image.limits.requestAlignment;
  const start = alignDown(offset, alignment);
  return { start, bytes: new Uint8Array(alignUp(offset + length, alignment) - start) };
}
