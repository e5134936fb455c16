import { describe, expect, it } from "vitest";
import { ModelDisk, type ModelRequest } from "./model-disk.ts";
import { bytes, discard, disk, filled, read, SECTOR, write } from "../fixture/model-requests.ts";
import { ModelMismatch } from "./model-mismatch.ts";

const flush: ModelRequest = { kind: "flush" };

describe("a disk at rest", () => {
  it("holds what it was given", () => {
    const model = new ModelDisk(bytes([SECTOR, 1], [SECTOR, 2], [100, 3]));
    expect(model.size).toBe(1124);
    model.expect(0, bytes([SECTOR, 1], [SECTOR, 2], [100, 3]), "all");
    model.expect(500, bytes([12, 1], [20, 2]), "a piece");
    expect(() => model.expect(1000, bytes([24, 2], [99, 3], [1, 4]), "it")).toThrow("it: at offset 1123 there is [04], and should be [03]");
  });

  it("keeps a copy of what it is given", () => {
    const content = filled(1);
    const model = new ModelDisk(content);
    content.fill(2);
    const written = filled(3);
    const writing = model.begin({ kind: "write", offset: 0, bytes: written });
    written.fill(4);
    model.afterPowerCut().expect(0, filled(1), "before");
    writing.succeeded();
    model.expect(0, filled(3), "after");
  });

  it("costs nothing where nobody was: it may have 1 TiB", () => {
    const size = 2 ** 40;
    const model = new ModelDisk({ size });
    model.begin(write(7, size - 100, 100)).succeeded();
    model.expect(size - 612, bytes([SECTOR, 0], [100, 7]), "the end");
    model.expect(2 ** 39, filled(0, 1_000_000), "the middle");
    expect(() => model.expect(2 ** 39, bytes([700, 0], [1, 9], [300, 0]), "the middle")).toThrow(ModelMismatch);
    model.afterPowerCut().expect(size - 612, filled(0, 612), "the end");
  });

  it("is judged between what was touched as well", () => {
    const model = disk(write(1), write(2, 4 * SECTOR));
    const seen = bytes([SECTOR, 1], [3 * SECTOR, 0], [SECTOR, 2], [3 * SECTOR, 0]);
    model.expect(0, seen, "all");
    model.begin(flush).succeeded();
    model.afterPowerCut().expect(0, seen, "all");
    seen[2 * SECTOR + 5] = 1;
    expect(() => model.expect(0, seen, "all")).toThrow("at offset 1029 there is [01 00");
    expect(() => model.afterPowerCut().expect(0, seen, "all")).toThrow("at offset 1029 there is [01 00");
  });

  it("has a short last sector", () => {
    const model = new ModelDisk({ size: 700 });
    model.begin(write(5, 512, 188)).succeeded();
    model.expect(500, bytes([12, 0], [188, 5]), "the end");
    model.begin({ kind: "zero", offset: 600, length: 100 }).succeeded();
    model.expect(512, bytes([88, 5], [100, 0]), "the end");
    expect(() => model.begin(write(1, 600, 101))).toThrow("beyond the end");
  });

  it("tells where it is wrong, what is there, and what could be", () => {
    const model = disk(write(0xab, 512));
    const failing = model.begin(write(0xcd, 612, 100));
    failing.failed();
    const seen = bytes([100, 0xab], [50, 0xcd], [362, 0xab]);
    let thrown: unknown;
    try {
      model.begin(read(512), "reader").succeeded(seen);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ModelMismatch);
    expect(thrown).toHaveProperty("offset", 662);
    expect(thrown).toHaveProperty(
      "message",
      "reader: read of 512 bytes at 512: at offset 662 there is [ab ab ab ab ab ab ab ab], and should be [cd cd cd cd cd cd cd cd]",
    );
  });

  it("does not let a request end twice, nor a read without what it has seen", () => {
    const model = disk();
    const writing = model.begin(write(1));
    writing.succeeded();
    expect(() => writing.failed()).toThrow("ends twice");
    expect(() => model.begin(read()).succeeded()).toThrow("has seen");
  });
});

describe("reads and writes at the same time", () => {
  it("a write that has succeeded is seen", () => {
    expect(() => disk(write(1)).expect(0, filled(0), "stale")).toThrow(ModelMismatch);
  });

  it("a read beside a write sees it or not, sector by sector", () => {
    const model = disk();
    const reading = model.begin(read(0, 2 * SECTOR));
    model.begin(write(1, 0, 2 * SECTOR)).succeeded();
    reading.succeeded(bytes([SECTOR, 1], [SECTOR, 0]));
  });

  it("a read beside a write sees no mixture in one sector", () => {
    const model = disk();
    const reading = model.begin(read());
    model.begin(write(1)).succeeded();
    expect(() => reading.succeeded(bytes([100, 1], [412, 0]))).toThrow(ModelMismatch);
  });

  it("a write in flight, seen by one read, is seen by every later one", () => {
    const model = disk();
    const writing = model.begin(write(1));
    model.begin(read()).succeeded(filled(1));
    const later = model.begin(read());
    writing.succeeded();
    expect(() => later.succeeded(filled(0))).toThrow(ModelMismatch);
  });

  it("a write in flight, not yet seen by one read, may be seen by a later one", () => {
    const model = disk();
    const writing = model.begin(write(1));
    model.begin(read()).succeeded(filled(0));
    model.begin(read()).succeeded(filled(1));
    writing.succeeded();
    model.expect(0, filled(1), "the end");
  });

  it("reads at the same time agree on the order of writes", () => {
    const model = disk();
    const first = model.begin(write(1));
    const second = model.begin(write(2));
    model.begin(read()).succeeded(filled(1));
    model.begin(read()).succeeded(filled(2));
    first.succeeded();
    second.succeeded();
    expect(() => model.expect(0, filled(1), "the end")).toThrow(ModelMismatch);
  });

  it("of writes at the same time either may be last, and it is settled by the first read", () => {
    const model = disk();
    const writes = [1, 2, 3].map((value) => model.begin(write(value)));
    for (const writing of writes) writing.succeeded();
    model.expect(0, filled(2), "once");
    expect(() => model.expect(0, filled(3), "twice")).toThrow(ModelMismatch);
  });

  it("a write that began after another one had ended wins over it", () => {
    const model = disk();
    const long = model.begin(write(1));
    model.begin(write(2)).succeeded();
    model.begin(write(3)).succeeded();
    long.succeeded();
    expect(() => model.expect(0, filled(2), "the end")).toThrow(ModelMismatch);
  });

  it("writes of parts of a sector are not lost", () => {
    const model = disk();
    const head = model.begin(write(1, 0, 100));
    const tail = model.begin(write(2, 100, 412));
    head.succeeded();
    tail.succeeded();
    expect(() => model.expect(0, bytes([100, 0], [412, 2]), "lost")).toThrow(ModelMismatch);
    expect(() => disk(write(1, 0, 100), write(2, 50, 100)).expect(40, bytes([10, 1], [100, 2], [10, 0]), "all")).not.toThrow();
  });

  it("a write that no read sees may have gone before one that ended earlier", () => {
    const model = disk();
    const slow = model.begin(write(1));
    model.begin(write(2)).succeeded();
    slow.succeeded();
    model.expect(0, filled(2), "the end");
  });

  it("a read in flight may have seen what was overwritten before anyone else could", () => {
    const model = disk();
    const reading = model.begin(read());
    const slow = model.begin(write(1));
    model.begin(write(2)).succeeded();
    reading.succeeded(filled(1));
    const next = model.begin(read());
    next.succeeded(filled(2));
    slow.succeeded();
    expect(() => model.expect(0, filled(1), "seen before the other one, it cannot come after it")).toThrow(ModelMismatch);
  });

  it("what a read has met before it ended has nothing to do with what began later", () => {
    const model = disk();
    const reading = model.begin(read());
    const slow = model.begin(write(1));
    model.begin(write(2)).succeeded();
    slow.succeeded();
    const next = model.begin(write(3));
    reading.succeeded(filled(1));
    next.succeeded();
    expect(() => model.expect(0, filled(2), "the end")).toThrow(ModelMismatch);
  });

  it("a read that fails says nothing", () => {
    const model = disk();
    const reading = model.begin(read());
    const writing = model.begin(write(1));
    reading.failed();
    writing.succeeded();
    model.expect(0, filled(1), "the end");
  });
});

describe("a write that fails", () => {
  it("has changed each sector, or not", () => {
    const model = disk();
    model.begin(write(1, 0, 2 * SECTOR)).failed();
    model.expect(0, bytes([SECTOR, 0], [SECTOR, 1]), "afterwards");
  });

  it("has changed nothing else", () => {
    const model = disk();
    model.begin(write(1)).failed();
    expect(() => model.expect(0, filled(2), "afterwards")).toThrow(ModelMismatch);
  });

  it("doesn't appear late", () => {
    const model = disk();
    model.begin(write(1)).failed();
    model.expect(0, filled(0), "once");
    expect(() => model.expect(0, filled(1), "later")).toThrow(ModelMismatch);
  });

  it("doesn't come after a write that began when it had failed", () => {
    const model = disk();
    model.begin(write(1)).failed();
    model.begin(write(2)).succeeded();
    expect(() => model.expect(0, filled(1), "later")).toThrow(ModelMismatch);
  });

  it("may have gone before a write that ended earlier, or after it", () => {
    for (const value of [1, 2]) {
      const model = disk();
      const failing = model.begin(write(1));
      model.begin(write(2)).succeeded();
      failing.failed();
      model.expect(0, filled(value), "the end");
    }
  });
});

describe("a discard", () => {
  it("that reads as zeros leaves zeros", () => {
    expect(() => disk(write(1), discard("zero")).expect(0, filled(1), "after")).toThrow(ModelMismatch);
  });

  it("that may leave what was there leaves that or zeros, and nothing else", () => {
    disk(write(1), discard("zero or same")).expect(0, filled(1), "same");
    disk(write(1), discard("zero or same")).expect(0, filled(0), "zero");
    expect(() => disk(write(1), discard("zero or same")).expect(0, filled(2), "else")).toThrow(ModelMismatch);
    expect(() => disk(write(1), discard("zero or same")).expect(0, bytes([100, 1], [412, 0]), "a mixture")).toThrow(ModelMismatch);
  });

  it("that may leave anything leaves one thing", () => {
    const model = disk(write(1), discard("anything"));
    model.expect(100, filled(9, 50), "a piece");
    model.expect(0, bytes([100, 8], [50, 9], [362, 7]), "all");
    expect(() => model.expect(500, filled(6, 1), "changed")).toThrow(ModelMismatch);
  });

  it("that may leave anything leaves what is around it", () => {
    const model = disk(write(1), discard("anything", 100, 100), write(2, 150, 100));
    expect(() => model.expect(199, filled(5, 2), "the write after it")).toThrow(ModelMismatch);
    model.expect(0, bytes([100, 1], [50, 5], [100, 2], [262, 1]), "all");
  });

  it("that may leave anything: whoever reads at the same time sees the same", () => {
    const model = disk(discard("anything"));
    const first = model.begin(read());
    const second = model.begin(read());
    const writing = model.begin(write(1));
    first.succeeded(filled(5));
    writing.succeeded();
    expect(() => second.succeeded(filled(6))).toThrow(ModelMismatch);
  });
});
