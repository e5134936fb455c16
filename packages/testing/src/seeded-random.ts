/** Chance that can be had again: every number follows from the seed. */

const STEP = 0x9e3779b9;

/** The same seed gives the same numbers, on every machine. For tests, not for secrets. */
export class SeededRandom {
  readonly seed: number;
  #state: number;

  /** `seed`: any 32-bit whole number. */
  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed | 0;
  }

  /** 0 ≤ the answer < 1. A Weyl sequence through a 32-bit finalizer (murmur3's). */
  next(): number {
    this.#state = (this.#state + STEP) | 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  }

  /** A whole number, 0 ≤ the answer < `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** A whole number, `least` ≤ the answer ≤ `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of `items`, which must not be empty. */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("assertion failed: nothing to pick from");
    return item;
  }

  /** Bytes that are hard to take for others. */
  bytes(length: number): Uint8Array {
    const words = new Uint32Array(Math.ceil(length / 4));
    for (let index = 0; index < words.length; index++) words[index] = this.next() * 2 ** 32;
    return new Uint8Array(words.buffer, 0, length);
  }
}
