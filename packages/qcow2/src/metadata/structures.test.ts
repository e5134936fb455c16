import { describe, expect, it } from "vitest";
import { geometryOf } from "../format/geometry.ts";
import { FreeRuns } from "./free-runs.ts";
import { MetadataMap } from "./metadata-map.ts";
import { checkedKinds } from "./overlap-checks.ts";
import { TableBytes } from "./table-bytes.ts";

describe("a table in memory", () => {
  const runsOf = (table: TableBytes): [at: number, length: number][] => table.dirtyRuns().map(({ at, bytes }) => [at, bytes.length]);

  it("is clean when it was read, and dirty as a whole when it is new", () => {
    expect(runsOf(new TableBytes(new Uint8Array(4096)))).toEqual([]);
    expect(runsOf(new TableBytes(new Uint8Array(4100), true))).toEqual([[0, 4100]]);
    expect(new TableBytes(new Uint8Array(0), true).dirty).toBe(false);
  });

  it("knows the sectors that were changed, and joins near ones", () => {
    const table = new TableBytes(new Uint8Array(65_536));
    table.set(64, { high: 0x8000_0000, low: 0x5_0000 });
    expect([table.high(64), table.low(64)]).toEqual([0x8000_0000, 0x5_0000]);
    expect(runsOf(table)).toEqual([[512, 512]]);
    table.touch(1023, 2);
    expect(runsOf(table)).toEqual([[512, 1024]]);
    table.touch(6000, 1);
    expect(runsOf(table)).toEqual([[512, 5632]]);
    table.touch(65_535, 1);
    expect(runsOf(table)).toEqual([
      [512, 5632],
      [65_024, 512],
    ]);
    table.clean();
    expect(runsOf(table)).toEqual([]);
    expect(table.dirty).toBe(false);
  });

  it("ends where it ends, in the middle of a sector too", () => {
    const table = new TableBytes(new Uint8Array(1000));
    table.touch(600, 8);
    expect(runsOf(table)).toEqual([[512, 488]]);
  });
});

describe("free runs", () => {
  it("join in order and are used from the last one on", () => {
    const runs = new FreeRuns();
    expect(runs.next).toBeUndefined();
    runs.add(10, 2);
    runs.add(12, 1);
    runs.add(5, 1);
    expect(runs.next).toEqual({ first: 5, count: 1 });
    runs.takeUpTo(6);
    expect(runs.next).toEqual({ first: 10, count: 3 });
    runs.takeUpTo(12);
    expect(runs.next).toEqual({ first: 12, count: 1 });
    runs.takeUpTo(13);
    expect(runs.next).toBeUndefined();
  });

  it("are forgotten when there are too many, which is said with the lowest of them", () => {
    const runs = new FreeRuns();
    let forgotten: number | undefined;
    let added = 0;
    for (let cluster = 1_000_000; forgotten === undefined; cluster -= 2) {
      forgotten = runs.add(cluster, 1);
      added++;
    }
    expect(forgotten).toBe(1_000_000 - 2 * (added - 1));
    expect(added).toBeLessThan(10_000);
    expect(runs.next).toBeUndefined();
  });
});

describe("the map of metadata", () => {
  const geometry = geometryOf({ version: 3, clusterBits: 16, refcountOrder: 4, incompatible: 0n });
  const cluster = (index: number): number => index * 65_536;

  it("finds every kind, at its first and last byte, and nothing beside", () => {
    const map = new MetadataMap(geometry, checkedKinds("all"));
    map.place("header", 0, cluster(1));
    map.place("active L1 table", cluster(3), 8);
    map.addL2Table(cluster(5));
    map.addRefcountBlock(cluster(2 ** 36));
    map.placeInactiveL1([
      { offset: cluster(20), length: 100 },
      { offset: cluster(10), length: 65_536 },
      { offset: cluster(11), length: 8 },
      { offset: cluster(30), length: 0 },
    ]);
    expect(map.find(0, 1)).toBe("header");
    expect(map.find(cluster(1) - 1, 1)).toBe("header");
    expect(map.find(cluster(1), cluster(2))).toBeUndefined();
    expect(map.find(cluster(1), cluster(2) + 1)).toBe("active L1 table");
    expect(map.find(cluster(3) + 8, 512)).toBeUndefined();
    expect(map.find(cluster(4), cluster(4))).toBe("active L2 table");
    expect(map.find(cluster(6) - 1, 1)).toBe("active L2 table");
    expect(map.find(cluster(2 ** 36) + 77, 1)).toBe("refcount block");
    expect(map.find(cluster(9), cluster(1))).toBeUndefined();
    expect(map.find(cluster(9), cluster(1) + 1)).toBe("inactive L1 table");
    expect(map.find(cluster(11) + 7, 1)).toBe("inactive L1 table");
    expect(map.find(cluster(11) + 8, cluster(9) - 8)).toBeUndefined();
    expect(map.find(cluster(20) + 99, 1)).toBe("inactive L1 table");
    expect(map.find(cluster(20) + 100, cluster(100))).toBeUndefined();
    map.placeInactiveL2(new Set([50]));
    expect(map.find(cluster(50) + 9, 1)).toBe("inactive L2 table");
  });

  it("tells of what is checked alone", () => {
    const map = new MetadataMap(geometry, checkedKinds({ template: "none", refcountBlock: true }));
    map.place("header", 0, cluster(1));
    map.addRefcountBlock(cluster(1));
    map.addL2Table(cluster(2));
    expect(map.find(0, cluster(1))).toBeUndefined();
    expect(map.find(0, cluster(2))).toBe("refcount block");
    map.check(checkedKinds({ refcountBlock: false }));
    expect(map.find(0, cluster(2))).toBe("header");
    expect(map.find(cluster(1), cluster(1))).toBeUndefined();
    expect(map.find(cluster(1), cluster(2))).toBe("active L2 table");
  });

  it("lets metadata be written over its own kind", () => {
    const map = new MetadataMap(geometry, checkedKinds("all"));
    map.addL2Table(cluster(5));
    expect(map.find(cluster(5), 65_536, "active L2 table")).toBeUndefined();
    expect(map.find(cluster(5), 65_536, "refcount block")).toBe("active L2 table");
    map.removeL2Table(cluster(5));
    expect(map.find(cluster(5), 65_536)).toBeUndefined();
  });

  it("moves what there is one of", () => {
    const map = new MetadataMap(geometry, checkedKinds("all"));
    map.place("refcount table", cluster(1), cluster(1));
    map.place("refcount table", cluster(8), cluster(2));
    expect(map.find(cluster(1), cluster(1))).toBeUndefined();
    expect(map.find(cluster(9), 1)).toBe("refcount table");
  });
});
