import { describe, expect, it } from "vitest";
import { BitTree } from "./bit-tree.ts";

/** The same numbers for the same seed. */
class SeededNumbers {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 2_654_435_761);
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
}

/** The same bits, one by one. */
class PlainBits {
  bits: boolean[];

  constructor(length: number) {
    this.bits = Array.from({ length }, () => false);
  }

  next(from: number, value: boolean): number {
    const found = this.bits.indexOf(value, from);
    return found < 0 ? this.bits.length : found;
  }
}

function expectSame(tree: BitTree, plain: PlainBits): void {
  expect(tree.count).toBe(plain.bits.filter(Boolean).length);
  for (let at = 0; at < tree.length;) {
    const end = tree.next(at, plain.bits[at] !== true);
    expect(end).toBe(plain.next(at, plain.bits[at] !== true));
    at = end;
  }
}

describe("rows of bits", () => {
  it.each([1, 2, 3, 4, 5, 6])("hold what a plain list holds, seed %i", (seed) => {
    const numbers = new SeededNumbers(seed);
    let length = 1 + numbers.below(40_000);
    const tree = new BitTree(length);
    const plain = new PlainBits(length);
    for (let step = 0; step < 120; step++) {
      const start = numbers.below(length + 1);
      const end = Math.min(length, start + (numbers.below(3) === 0 ? numbers.below(length) : numbers.below(70)));
      const value = numbers.below(3) > 0;
      tree.fill(start, end, value);
      plain.bits.fill(value, start, end);
      if (numbers.below(15) === 0) {
        length = 1 + numbers.below(300_000);
        tree.resize(length);
        plain.bits = Array.from({ length }, (_, at) => plain.bits[at] === true);
      }
    }
    expectSame(tree, plain);
    const bytes = new Uint8Array(Math.ceil(length / 4096) * 512);
    tree.read(0, bytes);
    expect(bytes).toEqual(Uint8Array.from(bytes, (_, at) => byteOf(plain.bits, at)));
    const copy = new BitTree(length);
    copy.load(0, bytes);
    expectSame(copy, plain);
    const other = new BitTree(length + 5_000_000);
    other.resize(length);
    other.fill(Math.floor(length / 2), length, true);
    other.unite(tree);
    copy.unite(other);
    plain.bits.fill(true, Math.floor(length / 2));
    expectSame(other, plain);
    expectSame(copy, plain);
    tree.fill(0, length, false);
    expect(copy.count).toBe(plain.bits.filter(Boolean).length);
  });

  it("take no room for what is all equal, however long they are", () => {
    const tree = new BitTree(2 ** 44);
    tree.fill(1, 2 ** 44 - 1, true);
    expect(tree.count).toBe(2 ** 44 - 2);
    expect(tree.next(1, false)).toBe(2 ** 44 - 1);
    expect(tree.next(0, true)).toBe(1);
    tree.fill(2 ** 40, 2 ** 41, false);
    expect(tree.next(5, false)).toBe(2 ** 40);
    expect(tree.next(2 ** 40, true)).toBe(2 ** 41);
  });

  it("leave out what is behind their end when they are loaded", () => {
    const tree = new BitTree(4099);
    tree.load(0, new Uint8Array(2048).fill(0xff));
    expect(tree.count).toBe(4099);
    tree.resize(9000);
    expect(tree.next(4099, true)).toBe(9000);
  });
});

function byteOf(bits: readonly boolean[], index: number): number {
  let byte = 0;
  for (let bit = 0; bit < 8; bit++) if (bits[index * 8 + bit] === true) byte += 2 ** bit;
  return byte;
}
