import { describe, expect, it } from "vitest";
import { zeroRuns } from "./zero-runs.ts";

function bytesOf(length: number, ...data: readonly (readonly [start: number, end: number])[]): Buffer {
  const bytes = Buffer.alloc(length);
  for (const [start, end] of data) bytes.fill(1, start, end);
  return bytes;
}

describe("zeroRuns", () => {
  it("finds nothing in nothing", () => {
    expect(zeroRuns(Buffer.alloc(0), 0, 4096)).toEqual([]);
  });

  it("joins neighbours of one kind", () => {
    expect(zeroRuns(bytesOf(16_384, [4096, 12_288]), 0, 4096)).toEqual([
      { isZero: true, start: 0, end: 4096 },
      { isZero: false, start: 4096, end: 12_288 },
      { isZero: true, start: 12_288, end: 16_384 },
    ]);
  });

  it.each([0, 1, 2048, 4094, 4095])("takes a block with one byte at %i for data", (at) => {
    expect(zeroRuns(bytesOf(8192, [at, at + 1]), 0, 4096)).toEqual([
      { isZero: false, start: 0, end: 4096 },
      { isZero: true, start: 4096, end: 8192 },
    ]);
  });

  it("cuts at multiples of the unit on the disk, not in the buffer", () => {
    expect(zeroRuns(bytesOf(8192, [0, 1000]), 3096, 4096)).toEqual([
      { isZero: false, start: 0, end: 1000 },
      { isZero: true, start: 1000, end: 8192 },
    ]);
  });

  it("judges what is shorter than a unit as it is", () => {
    expect(zeroRuns(bytesOf(700, [600, 601]), 0, 512)).toEqual([
      { isZero: true, start: 0, end: 512 },
      { isZero: false, start: 512, end: 700 },
    ]);
    expect(zeroRuns(bytesOf(3), 10, 16 * 1024 * 1024)).toEqual([{ isZero: true, start: 0, end: 3 }]);
  });
});
