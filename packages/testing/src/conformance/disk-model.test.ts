import { describe, expect, it } from "vitest";
import { SeededRandom } from "../seeded-random.ts";
import { DiskModel, SECTOR_SIZE } from "./disk-model.ts";
import { patternOf } from "./patterns.ts";

const sector = (byte: number): Uint8Array => new Uint8Array(SECTOR_SIZE).fill(byte);
const allows = (model: DiskModel, bytes: Uint8Array, offset = 0): boolean => {
  try {
    model.expect(offset, bytes, "here");
    return true;
  } catch {
    return false;
  }
};

describe("what a disk may hold", () => {
  it("is what was written, and nothing else", () => {
    const model = DiskModel.empty(3 * SECTOR_SIZE);
    model.write(100, patternOf(1, 100, 600));
    expect(allows(model, patternOf(1, 100, 600), 100)).toBe(true);
    expect(allows(model, new Uint8Array(100))).toBe(true);
    expect(allows(model, new Uint8Array(101))).toBe(false);
    expect(() => model.expect(700, patternOf(1, 700, 1), "the end")).toThrow("the end: at offset 700 there is [");
  });

  it("is old or new, sector by sector, where a write failed, until it is read", () => {
    const model = new DiskModel(Buffer.concat([sector(1), sector(2)]));
    model.attempt(0, Buffer.concat([sector(3), sector(4)]));
    expect(allows(model, Buffer.concat([sector(3), sector(2)]))).toBe(true);
    expect(allows(model, sector(1))).toBe(false);
    expect(allows(model, sector(4), SECTOR_SIZE)).toBe(false);
  });

  it.each([1, 2])("is what one of two writes at a time left: %i", (byte) => {
    const model = DiskModel.empty(SECTOR_SIZE);
    model.writeTogether([
      { offset: 0, bytes: sector(1) },
      { offset: 0, bytes: sector(2) },
    ]);
    expect(allows(model, sector(0))).toBe(false);
    expect(allows(model, sector(byte))).toBe(true);
    expect(allows(model, sector(3 - byte))).toBe(false);
  });

  it.each([0, 1, 2, 3, 4])("is after a power cut anything since the last flush, also what a read has ruled out: %i", (byte) => {
    const model = DiskModel.empty(SECTOR_SIZE);
    model.write(0, sector(1));
    model.attempt(0, sector(2));
    model.expect(0, sector(1), "before");
    model.write(0, sector(3));
    expect(allows(model.afterPowerCut(), sector(byte))).toBe(byte !== 4);
    model.flushed();
    expect(allows(model.afterPowerCut(), sector(byte))).toBe(byte === 3);
  });

  it("is after a flush one of what a failed write left, and stays so until it is read or written", () => {
    const model = DiskModel.empty(SECTOR_SIZE);
    model.attempt(0, sector(2));
    model.flushed();
    for (const byte of [0, 2]) expect(allows(model.afterPowerCut(), sector(byte))).toBe(true);
    model.write(0, sector(3));
    for (const byte of [0, 2, 3]) expect(allows(model.afterPowerCut(), sector(byte))).toBe(true);
    model.flushed();
    for (const byte of [0, 2]) expect(allows(model.afterPowerCut(), sector(byte))).toBe(false);
  });

  it("of a size that is no multiple of sectors ends where it ends, and grows with zeros", () => {
    const model = DiskModel.empty(700);
    model.write(0, patternOf(1, 0, 700));
    model.attempt(650, patternOf(2, 650, 50));
    expect(() => model.write(650, sector(1))).toThrow("beyond the end of the model");
    expect(model.afterPowerCut().size).toBe(700);
    model.resize(800);
    expect(allows(model, new Uint8Array(100), 700)).toBe(true);
  });
});

/** The formula, byte by byte. */
function slowPattern(tag: number, offset: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => {
    const at = offset + index;
    return 1 + ((at * 7 + Math.floor(at / 512) * 13 + tag * 101) % 251);
  });
}

describe("a pattern", () => {
  it("is the same wherever it is cut", () => {
    const random = new SeededRandom(1);
    for (let round = 0; round < 200; round++) {
      const [tag, offset, length] = [random.below(300), random.below(1e9), random.below(3000)];
      expect(Buffer.compare(patternOf(tag, offset, length), slowPattern(tag, offset, length))).toBe(0);
    }
  });
});
