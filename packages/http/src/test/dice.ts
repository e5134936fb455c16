/** Numbers from a seed. */

export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e37_79b1) + 1;
  }

  /** A whole number from 0 up to and without `limit`. */
  below(limit: number): number {
    this.#state = Math.imul(this.#state ^ (this.#state >>> 15), 0x2c1b_3c6d) + 0x6d2b_79f5;
    const mixed = Math.imul(this.#state ^ (this.#state >>> 12), 0x297a_2d39);
    return Math.floor((((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32) * limit);
  }

  pick<Item>(items: readonly [Item, ...Item[]]): Item {
    return items[this.below(items.length)] ?? items[0];
  }
}
