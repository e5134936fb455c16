import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DATA, UNALLOCATED, ZERO } from "./painted-kind.ts";
import { Strip } from "./strip.ts";

const KINDS = [DATA, ZERO, UNALLOCATED];

/** Cuts at increasing offsets, each with what begins there. */
const tilings = fc
  .record({
    size: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 53 - 1 })),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
  })
  .map(({ size, cuts }) => {
    const offsets = [...new Set([0, ...cuts.map((cut) => Math.floor(cut * (size - 1)))])].sort((left, right) => left - right);
    return { size, runs: offsets.map((offset, index) => ({ offset, length: (offsets[index + 1] ?? size) - offset })) };
  });

describe("buckets", () => {
  it("tile the whole, none of them empty", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 53 - 1 }), fc.integer({ min: 1, max: 2000 }), (size, asked) => {
        const strip = new Strip(size, asked, KINDS);
        expect(strip.start(0)).toBe(0);
        expect(strip.start(strip.count)).toBe(size);
        for (let bucket = 0; bucket < strip.count; bucket++) expect(strip.length(bucket)).toBeGreaterThan(0);
      }),
      { numRuns: 50 },
    );
  });

  it("count every byte of a tiling once, in the bucket where it lies", () => {
    fc.assert(
      fc.property(tilings, fc.integer({ min: 1, max: 40 }), ({ size, runs }, asked) => {
        const strip = new Strip(size, asked, KINDS);
        for (const [index, { offset, length }] of runs.entries()) strip.add(offset, length, KINDS[index % 3] ?? DATA);
        for (let bucket = 0; bucket < strip.count; bucket++)
          expect(KINDS.reduce((sum, kind) => sum + strip.bytes(bucket, kind), 0)).toBe(strip.length(bucket));
        expect(KINDS.reduce((sum, kind) => sum + strip.total(kind), 0)).toBe(size);
      }),
    );
  });

  it("agree with counting byte by byte", () => {
    const strip = new Strip(100, 7, KINDS);
    strip.add(3, 50, DATA);
    strip.add(90, 10, ZERO);
    for (let bucket = 0; bucket < 7; bucket++) {
      const offsets = Array.from({ length: strip.length(bucket) }, (_, index) => strip.start(bucket) + index);
      expect(strip.bytes(bucket, DATA)).toBe(offsets.filter((offset) => offset >= 3 && offset < 53).length);
      expect(strip.bytes(bucket, ZERO)).toBe(offsets.filter((offset) => offset >= 90).length);
    }
  });

  it("leave out what lies outside, and stand for nothing where there is nothing", () => {
    const strip = new Strip(10, 4, KINDS);
    strip.add(-5, 7, DATA);
    strip.add(8, 100, DATA);
    strip.add(20, 5, ZERO);
    expect([strip.total(DATA), strip.total(ZERO)]).toEqual([4, 0]);
    const empty = new Strip(0, 4, KINDS);
    empty.add(0, 10, DATA);
    expect({ count: empty.count, length: empty.length(0), total: empty.total(DATA) }).toEqual({ count: 1, length: 0, total: 0 });
  });
});
