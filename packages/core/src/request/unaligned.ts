/** Requests that do not fit the alignment of an image: read more and cut, or read, change and write back. */

import type { BlockImage, IoOptions } from "../driver.ts";
import { alignDown, alignUp } from "../binary/align.ts";
import { BlockError } from "../errors.ts";

export async function readUnaligned(image: BlockImage, offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
  const { start, bytes } = window(image, offset, into.length);
  await image.read(start, bytes, options);
  into.set(bytes.subarray(offset - start, offset - start + into.length));
}

/** The caller holds the whole aligned range as a serialising request. */
export async function writeUnaligned(image: BlockImage, offset: number, from: Uint8Array, options: IoOptions | undefined): Promise<void> {
  if (image.write === undefined) throw new BlockError("READ_ONLY", "the driver cannot write");
  const { start, bytes } = window(image, offset, from.length);
  const alignment = image.limits.requestAlignment;
  const tail = bytes.length - alignment;
  const headIsPartial = offset !== start;
  const tailIsPartial = (offset + from.length) % alignment !== 0;
  if (headIsPartial) await image.read(start, bytes.subarray(0, alignment), options);
  if (tailIsPartial && (tail > 0 || !headIsPartial)) await image.read(start + tail, bytes.subarray(tail), options);
  bytes.set(from, offset - start);
  await image.write(start, bytes, options);
}

function window(image: BlockImage, offset: number, length: number): { readonly start: number; readonly bytes: Uint8Array } {
  const alignment = image.limits.requestAlignment;
  const start = alignDown(offset, alignment);
  return { start, bytes: new Uint8Array(alignUp(offset + length, alignment) - start) };
}
