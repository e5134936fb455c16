import { describe, expect, it } from "vitest";
import { type CutExpectation, ModelDisk, type ModelRequest } from "./model-disk.ts";
import { bytes, discard, disk, filled, read, SECTOR, write } from "../fixture/model-requests.ts";
import { ModelMismatch } from "./model-mismatch.ts";

/** Which of the values 0 to 9 the first sector may be full of. */
function possible(cut: CutExpectation): readonly number[] {
  return Array.from({ length: 10 }, (_none, value) => value).filter((value) => {
    try {
      cut.expect(0, filled(value), "cut");
      return true;
    } catch (error) {
      if (error instanceof ModelMismatch) return false;
      throw error;
    }
  });
}

const flush: ModelRequest = { kind: "flush" };

describe("after a power cut", () => {
  it("what was not flushed is there or not, in any order", () => {
    expect(possible(disk(write(1), write(2), write(3)).afterPowerCut())).toEqual([0, 1, 2, 3]);
  });

  it("what was flushed is there", () => {
    expect(possible(disk(write(1), write(2), flush).afterPowerCut())).toEqual([2]);
  });

  it("what came after the flush is there or not", () => {
    expect(possible(disk(write(1), flush, write(2), write(3)).afterPowerCut())).toEqual([1, 2, 3]);
  });

  it("what is in flight is there or not", () => {
    const model = disk(write(1), flush);
    model.begin(write(2));
    expect(possible(model.afterPowerCut())).toEqual([1, 2]);
  });

  it("a flush that fails, or has not ended, holds nothing", () => {
    const model = disk(write(1));
    const flushing = model.begin(flush);
    expect(possible(model.afterPowerCut())).toEqual([0, 1]);
    flushing.failed();
    expect(possible(model.afterPowerCut())).toEqual([0, 1]);
  });

  it("a write that ended during the flush is not held by it", () => {
    const model = disk(write(1));
    const writing = model.begin(write(2));
    const flushing = model.begin(flush);
    writing.succeeded();
    flushing.succeeded();
    expect(possible(model.afterPowerCut())).toEqual([1, 2]);
    model.begin(flush).succeeded();
    expect(possible(model.afterPowerCut())).toEqual([2]);
  });

  it("a write that began and ended during the flush is not held by it", () => {
    const model = disk(write(1));
    const flushing = model.begin(flush);
    model.begin(write(2)).succeeded();
    flushing.succeeded();
    expect(possible(model.afterPowerCut())).toEqual([1, 2]);
  });

  it("a write that ended before the flush is held by it, whatever is in flight beside it", () => {
    const model = disk();
    const other = model.begin(write(3, 0, 100));
    model.begin(write(1)).succeeded();
    model.begin(write(2)).succeeded();
    model.begin(flush).succeeded();
    expect(possible(model.afterPowerCut())).toEqual([2]);
    const cut = model.afterPowerCut();
    cut.expect(0, bytes([100, 3], [412, 2]), "with the one in flight");
    expect(() => cut.expect(0, bytes([100, 3], [412, 1]), "with one that was overwritten")).toThrow(ModelMismatch);
    other.failed();
  });

  it("of two flushes at the same time each holds what ended before it", () => {
    const model = disk(write(1));
    const first = model.begin(flush);
    model.begin(write(2)).succeeded();
    const second = model.begin(flush);
    model.begin(write(3)).succeeded();
    first.succeeded();
    expect(possible(model.afterPowerCut())).toEqual([1, 2, 3]);
    second.succeeded();
    expect(possible(model.afterPowerCut())).toEqual([2, 3]);
  });

  it("a flush that began earlier and ends later takes nothing back", () => {
    const model = disk(write(1));
    const first = model.begin(flush);
    model.begin(write(2)).succeeded();
    model.begin(flush).succeeded();
    first.succeeded();
    expect(possible(model.afterPowerCut())).toEqual([2]);
  });

  it("so it is with something in flight beside them", () => {
    const model = disk();
    model.begin(write(3, 0, 100));
    model.begin(write(1)).succeeded();
    const first = model.begin(flush);
    model.begin(write(2)).succeeded();
    const second = model.begin(flush);
    expect(possible(model.afterPowerCut())).toEqual([0, 1, 2]);
    second.succeeded();
    expect(possible(model.afterPowerCut())).toEqual([2]);
    first.succeeded();
    expect(possible(model.afterPowerCut())).toEqual([2]);
  });

  it("writes of parts are there one by one", () => {
    const cut = disk(write(1), flush, write(2, 0, 200), write(3, 100, 200), write(4, 400, 112)).afterPowerCut();
    cut.expect(0, bytes([100, 2], [200, 3], [212, 1]), "in order");
    cut.expect(0, bytes([200, 2], [100, 3], [100, 1], [112, 4]), "in another order");
    expect(() => cut.expect(0, bytes([150, 2], [150, 3], [212, 1]), "torn")).toThrow(ModelMismatch);
    expect(() => cut.expect(0, bytes([200, 2], [312, 0]), "without what was flushed")).toThrow(ModelMismatch);
  });

  it("each sector is on its own", () => {
    const cut = disk(write(1, 0, 3 * SECTOR)).afterPowerCut();
    cut.expect(0, bytes([SECTOR, 1], [SECTOR, 0], [SECTOR, 1], [SECTOR, 0]), "every other one");
    expect(() => cut.expect(3 * SECTOR, filled(1), "one that nobody wrote")).toThrow("one that nobody wrote");
  });

  it("what reads have seen since a flush, it has found", () => {
    const model = disk();
    const writes = [model.begin(write(1)), model.begin(write(2))];
    for (const writing of writes) writing.succeeded();
    model.begin(flush).succeeded();
    expect(possible(model.afterPowerCut())).toEqual([1, 2]);
    model.expect(0, filled(1), "afterwards");
    expect(possible(model.afterPowerCut())).toEqual([1]);
  });

  it("a write that had failed is there if it was seen before the flush", () => {
    const model = disk();
    model.begin(write(1)).failed();
    model.begin(flush).succeeded();
    expect(possible(model.afterPowerCut())).toEqual([0, 1]);
    model.expect(0, filled(1), "afterwards");
    expect(possible(model.afterPowerCut())).toEqual([1]);
  });

  it("a discard is there or not, and once it is flushed it stays what it reads as", () => {
    expect(possible(disk(write(1), flush, discard("zero")).afterPowerCut())).toEqual([0, 1]);
    expect(possible(disk(write(1), flush, discard("zero or same"), flush).afterPowerCut())).toEqual([0, 1]);
    const model = disk(write(1), flush, discard("anything"), flush);
    expect(possible(model.afterPowerCut())).toHaveLength(10);
    model.expect(0, filled(7), "afterwards");
    expect(possible(model.afterPowerCut())).toEqual([7]);
  });

  it("a snapshot stays what it was", () => {
    const model = disk(write(1));
    const cut = model.afterPowerCut();
    const writing = model.begin(write(2));
    expect(possible(model.afterPowerCut())).toEqual([0, 1, 2]);
    writing.succeeded();
    model.begin(flush).succeeded();
    model.begin(write(3, 512)).succeeded();
    expect(possible(cut)).toEqual([0, 1]);
    cut.expect(512, filled(0), "not yet written");
  });

  it("says what it could be", () => {
    const cut = disk(write(1), flush, write(2)).afterPowerCut();
    expect(() => cut.expect(510, bytes([2, 1], [8, 9]), "the image")).toThrow(
      "the image: at offset 512 there is [09 09 09 09 09 09 09 09], and should be [00 00 00 00 00 00 00 00]",
    );
    expect(() => cut.expect(0, filled(3, 4), "the image")).toThrow(
      "the image: at offset 0 there is [03 03 03 03], and should be [01 01 01 01] or [02 02 02 02]",
    );
  });
});

describe("another size", () => {
  it("new bytes are zeros, also where something was cut off", () => {
    const model = new ModelDisk(filled(1, 1500));
    model.begin(write(2, 1024, 476)).succeeded();
    model.resize(1100);
    expect(model.size).toBe(1100);
    model.resize(2000);
    model.expect(1000, bytes([24, 1], [76, 2], [900, 0]), "the end");
  });

  it("is not flushed with the change", () => {
    const model = new ModelDisk(filled(1, 2048));
    model.resize(512);
    model.resize(2048);
    const cut = model.afterPowerCut();
    cut.expect(0, bytes([SECTOR, 1], [SECTOR, 0], [SECTOR, 1], [SECTOR, 0]), "some of it");
    expect(() => cut.expect(0, filled(0), "what was kept")).toThrow(ModelMismatch);
    model.begin(flush).succeeded();
    expect(() => model.afterPowerCut().expect(512, filled(1), "what was cut off")).toThrow(ModelMismatch);
  });

  it("comes at a quiet moment", () => {
    const model = disk();
    const reading = model.begin(read());
    expect(() => model.resize(100)).toThrow("in flight");
    reading.failed();
    model.resize(100);
    expect(() => model.begin(read(0, 101))).toThrow("beyond the end");
  });
});
