/** What is written into an image whose writer is killed: the same for every writer. */

import { SeededRandom } from "@coblock/testing";

/** Bytes; two L2 tables of the smallest geometry that QEMU opens. */
export const DISK_SIZE = 8 * 1024 * 1024;
/** Bytes of the disk in which one write has its place. */
export const SLOT = 32 * 1024;

export interface KillWrite {
  readonly offset: number;
  readonly length: number;
  readonly pattern: number;
}

/** In the order in which they begin; none overlaps another, though they share clusters. */
export function killWrites(seed: number): readonly KillWrite[] {
  const random = new SeededRandom(seed);
  const slots = Array.from({ length: DISK_SIZE / SLOT }, (_, slot) => ({ slot, rank: random.next() })).sort((a, b) => a.rank - b.rank);
  return slots.map(({ slot }) => {
    const start = 512 * Math.floor(random.next() * 32);
    const length = 512 * (1 + Math.floor(random.next() * (64 - start / 512)));
    return { offset: slot * SLOT + start, length, pattern: 1 + Math.floor(random.next() * 200) };
  });
}
