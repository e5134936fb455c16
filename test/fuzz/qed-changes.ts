/** What the fuzz writes to an image that it could open, and what must be read afterwards. */

import type { SeededRandom } from "@coblock/testing";
import type { QedReference } from "./qed-reference.ts";

/** A write, or zeros where there are no bytes. */
export interface Change {
  readonly offset: number;
  readonly length: number;
  readonly bytes: Uint8Array | undefined;
  /** It may have been done in part. */
  failed: boolean;
}

const LONGEST = 20_000;

/** A few, near the ends of the disk and of the tables, aligned and not. */
export function makeChanges({ imageSize, clusterSize, span }: QedReference, random: SeededRandom): Change[] {
  if (imageSize === 0) return [];
  return Array.from({ length: random.between(1, 4) }, () => {
    const near = random.pick([0, 0, imageSize - 1, span - 1, span, 600 * clusterSize, Math.floor(random.next() * imageSize)]);
    const start = Math.min(Math.max(0, near - random.below(LONGEST)), imageSize - 1);
    const offset = random.chance(0.5) ? start : start - (start % clusterSize);
    const asked = random.pick([1, 512, 4096, 8192, random.between(1, LONGEST)]);
    const length = Math.min(asked, imageSize - offset);
    return { offset, length, bytes: random.chance(0.7) ? random.bytes(length) : undefined, failed: false };
  });
}

/** Answers `undefined` where it is not known: behind a bad entry, or beside a change that failed. */
export function changedBytes(old: QedReference, changes: readonly Change[], offset: number, length: number): Uint8Array | undefined {
  const bytes = old.read(offset, length);
  for (const change of changes) {
    const start = Math.max(offset, change.offset);
    const end = Math.min(offset + length, change.offset + change.length);
    if (start >= end) continue;
    if (change.failed) return undefined;
    const written = change.bytes?.subarray(start - change.offset, end - change.offset) ?? new Uint8Array(end - start);
    bytes?.set(written, start - offset);
  }
  return bytes;
}
