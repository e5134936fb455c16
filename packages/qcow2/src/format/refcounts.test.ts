import { describe, expect, it } from "vitest";
import { refcountCodec } from "./refcounts.ts";

const BLOCK_BYTES = 64;

describe.each([1, 2, 4, 8, 16, 32, 64])("refcounts of %i bits", (bits) => {
  const codec = refcountCodec(bits);
  const count = (BLOCK_BYTES * 8) / bits;

  it("keeps the largest value in each place and leaves the neighbours alone", () => {
    for (let index = 0; index < count; index++) {
      const block = new DataView(new ArrayBuffer(BLOCK_BYTES));
      codec.set(block, index, codec.max);
      const got = Array.from({ length: count }, (_, place) => codec.get(block, place));
      expect(got).toEqual(got.map((_, place) => (place === index ? codec.max : 0)));
      codec.set(block, index, 0);
      expect(new Uint8Array(block.buffer).every((byte) => byte === 0)).toBe(true);
    }
  });

  it("finds the first free and the first used", () => {
    const block = new DataView(new ArrayBuffer(BLOCK_BYTES));
    codec.set(block, 2, 1);
    codec.set(block, 3, 1);
    expect(codec.findFree(block, 0, count)).toBe(0);
    expect(codec.findFree(block, 2, count)).toBe(4);
    expect(codec.findFree(block, 2, 4)).toBe(4);
    expect(codec.findUsed(block, 0, count)).toBe(2);
    expect(codec.findUsed(block, 4, count)).toBe(count);
  });
});

it("puts narrow refcounts into the least significant bits first, wide ones big-endian", () => {
  const block = new DataView(new ArrayBuffer(8));
  refcountCodec(1).set(block, 1, 1);
  expect(block.getUint8(0)).toBe(0b10);
  refcountCodec(4).set(block, 2, 0xa);
  expect(block.getUint8(1)).toBe(0x0a);
  refcountCodec(2).set(block, 9, 3);
  expect(block.getUint8(2)).toBe(0b1100);
  refcountCodec(16).set(block, 2, 0x0102);
  expect([block.getUint8(4), block.getUint8(5)]).toEqual([1, 2]);
});

it("counts no further than 2^53 - 1, whatever 64 bits hold", () => {
  const block = new DataView(new ArrayBuffer(8));
  block.setBigUint64(0, 2n ** 63n);
  expect(refcountCodec(64).get(block, 0)).toBe(Number.MAX_SAFE_INTEGER);
  block.setBigUint64(0, 2n ** 53n - 1n);
  expect(refcountCodec(64).get(block, 0)).toBe(Number.MAX_SAFE_INTEGER);
  block.setBigUint64(0, 2n ** 32n + 5n);
  expect(refcountCodec(64).get(block, 0)).toBe(2 ** 32 + 5);
});
