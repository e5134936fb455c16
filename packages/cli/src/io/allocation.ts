/** Which bytes an image has itself, its backing file left out. */

import type { OpenedImage } from "./opened-image.ts";

export interface AllocationRun {
  readonly allocated: boolean;
  /** Bytes. */
  readonly length: number;
}

/** The run at `offset`, at most `length` bytes of it. What fills the last sector behind the end of the file counts as the file's. */
export async function allocationAt(image: OpenedImage, offset: number, length: number): Promise<AllocationRun> {
  const { node } = image;
  const inside = Math.min(length, node.size - offset);
  if (inside <= 0) return { allocated: true, length };
  const { kind, length: runLength } = await node.status(offset, inside);
  return { allocated: kind !== "unallocated", length: runLength };
}
