/** A set of whole numbers, as clusters of a file, for checks: a bit each, in memory that grows with the set and not with the numbers. */

/** Small, for each chunk with a number in it takes room for all: some 200 bytes. */
const CHUNK = 512;

/** Numbers from 0 to 2^53; up to 2^33 of them where they are neighbours. */
export class SparseSet {
  readonly #chunks: Map<number, Uint8Array> = new Map();

  /** Answers whether the number is new. */
  add(number: number): boolean {
    const key = Math.floor(number / CHUNK);
    const chunk = this.#chunks.get(key) ?? new Uint8Array(CHUNK / 8);
    this.#chunks.set(key, chunk);
    const index = Math.floor((number % CHUNK) / 8);
    const before = chunk[index] ?? 0;
    chunk[index] = before | (1 << (number % 8));
    return chunk[index] !== before;
  }

  has(number: number): boolean {
    const byte = this.#chunks.get(Math.floor(number / CHUNK))?.[Math.floor((number % CHUNK) / 8)] ?? 0;
    return (byte & (1 << (number % 8))) !== 0;
  }

  /** What is missing in [start, end), as runs in order. */
  *gaps(start: number, end: number): Generator<{ readonly start: number; readonly end: number }> {
    let gap = start;
    for (const number of this.#inOrder()) {
      if (number >= end) break;
      if (number > gap) yield { start: gap, end: number };
      gap = Math.max(gap, number + 1);
    }
    if (end > gap) yield { start: gap, end };
  }

  *#inOrder(): Generator<number> {
    for (const key of Float64Array.from(this.#chunks.keys()).sort()) {
      for (const [index, byte] of this.#chunks.get(key)?.entries() ?? []) {
        for (let bit = 0; byte >= 1 << bit; bit++) if ((byte & (1 << bit)) !== 0) yield key * CHUNK + index * 8 + bit;
      }
    }
  }
}
