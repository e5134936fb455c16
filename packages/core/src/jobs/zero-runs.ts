/** Finds the zeros within data that was read. */

import { alignDown } from "../binary/align.ts";
import { isZero as isAllZero } from "../binary/zeros.ts";

export interface ByteRun {
  readonly isZero: boolean;
  /** Within the buffer. */
  readonly start: number;
  readonly end: number;
}

/**
 * Splits `bytes`, which lie at `offset` of the disk, into runs of blocks that are all zero and blocks that are not. Blocks are `unit`
 * bytes at multiples of it on the disk; what is shorter at either end is judged as it is.
 */
export function zeroRuns(bytes: Buffer, offset: number, unit: number): readonly ByteRun[] {
  const runs: ByteRun[] = [];
  let start = 0;
  let isZero = false;
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(alignDown(offset + at, unit) + unit - offset, bytes.length);
    const blockIsZero = isZeroBetween(bytes, at, end);
    if (at > 0 && blockIsZero !== isZero) {
      runs.push({ isZero, start, end: at });
      start = at;
    }
    isZero = blockIsZero;
    at = end;
  }
  if (bytes.length > 0) runs.push({ isZero, start, end: bytes.length });
  return runs;
}

/** Data is mostly told by its first bytes, with no call at all. */
function isZeroBetween(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[start] !== 0 || bytes[end - 1] !== 0 || bytes[start + ((end - start) >>> 1)] !== 0) return false;
  return isAllZero(bytes.subarray(start, end));
}
