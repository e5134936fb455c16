/** Requests that do not fit the alignment of an image: read more and cut, or read, change and write back. */

import type { BlockImage, IoOptions } from "../driver.ts";
import { alignDown, alignUp } from "../binary/align.ts";
import { BlockError } from "../errors.ts";

/** Reads the aligned range around, and keeps the part that was asked for. */
export async function readUnaligned(image: BlockImage, offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
  const { start, bytes } = window(image, offset, into.length);
  await image.read(start, bytes, options);
  into.set(bytes.subarray(offset - start, offset - start + into.length));
}

/** The caller holds the whole aligned range as a serialising request. What lies behind the end of the image counts as zeros, and is not written. */
export async function writeUnaligned(image: BlockImage, offset: number, from: Uint8Array, options: IoOptions | undefined): Promise<void> {
  if (image.write === undefined) throw new BlockError("READ_ONLY", "the driver cannot write");
  const { start, bytes } = window(image, offset, from.length);
  const alignment = image.limits.requestAlignment;
  const tail = alignDown(bytes.length - 1, alignment);
  const headIsPartial = offset !== start;
  const tailIsPartial = offset + from.length < start + bytes.length;
  if (headIsPartial) await readPresent(image, start, bytes.subarray(0, alignment), options);
  if (tailIsPartial && (tail > 0 || !headIsPartial)) await readPresent(image, start + tail, bytes.subarray(tail), options);
  bytes.set(from, offset - start);
  await image.write(start, bytes, options);
}

async function readPresent(image: BlockImage, offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
  const present = Math.max(0, Math.min(into.length, image.size - offset));
  if (present > 0) await image.read(offset, into.subarray(0, present), options);
}

/** Whole units, up to the end of the image, or of a request that makes it larger. */
function window(image: BlockImage, offset: number, length: number): { readonly start: number; readonly bytes: Uint8Array } {
  const alignment = image.limits.requestAlignment;
  const start = alignDown(offset, alignment);
  const end = Math.min(alignUp(offset + length, alignment), Math.max(image.size, offset + length));
  return { start, bytes: new Uint8Array(end - start) };
}
