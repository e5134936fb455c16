import { describe, expect, test } from "vitest";
import { SeededRandom } from "../seeded-random.ts";
import { PagedBytes } from "../storage/paged-bytes.ts";
import { crashStates } from "./crash-states.ts";
import type { FileAtCut, UnflushedChange } from "./sim-file.ts";

const SECTOR = 512;

function filled(value: number, length = SECTOR): Uint8Array {
  return new Uint8Array(length).fill(value);
}

function change(sector: number, value: number, sectors = 1): UnflushedChange {
  return { offset: sector * SECTOR, bytes: filled(value, sectors * SECTOR) };
}

/** `durable`: the value of each sector that is on the disk. */
function at(durable: readonly number[], changes: readonly UnflushedChange[], size = durable.length * SECTOR): FileAtCut {
  return { durable: PagedBytes.from(Buffer.concat(durable.map((value) => filled(value)))), size, changes };
}

/** Files by name. */
type Files = ReadonlyMap<string, Uint8Array>;

function states(files: Readonly<Record<string, FileAtCut>>, bound: number, seed = 1): readonly Files[] {
  const found = [...crashStates(new Map(Object.entries(files)), { bound, random: new SeededRandom(seed) })];
  return found.map((left) => new Map([...left].map(([name, bytes]) => [name, bytes.toBytes()])));
}

/** The first byte of each sector of file "a"; one text for each disk. */
function texts(found: readonly Files[], file = "a"): readonly string[] {
  return found.map((files) => {
    const bytes = files.get(file) ?? new Uint8Array(0);
    return [...bytes].filter((_byte, index) => index % SECTOR === 0).join(" ");
  });
}

function sorted(found: readonly string[]): readonly string[] {
  return [...found].sort();
}

describe("all combinations", () => {
  test("of two sectors are four, each once", () => {
    expect(sorted(texts(states({ a: at([0, 0], [change(0, 1), change(1, 2)]) }, 4)))).toEqual(["0 0", "0 2", "1 0", "1 2"]);
  });

  test("tear a write at every sector", () => {
    const found = texts(states({ a: at([0, 0, 0], [change(0, 1, 3)]) }, 8));
    expect(new Set(found).size).toBe(8);
    expect(found).toContain("1 0 1");
  });

  test("of several changes of one sector are as many as it may hold contents", () => {
    expect(sorted(texts(states({ a: at([0], [change(0, 1), change(0, 2), change(0, 3)]) }, 4)))).toEqual(["0", "1", "2", "3"]);
  });

  test("of changes of parts of a sector are all subsets of them, in their order", () => {
    const parts = [0, 100, 200].map((offset, index) => ({ offset, bytes: filled(index + 1, 100) }));
    const found = states({ a: at([0], parts) }, 8).map((files) => [0, 100, 200, 300].map((offset) => files.get("a")?.[offset]).join(" "));
    expect(sorted(found)).toEqual(["0 0 0 0", "0 0 3 0", "0 2 0 0", "0 2 3 0", "1 0 0 0", "1 0 3 0", "1 2 0 0", "1 2 3 0"]);
    const overlapping = [
      { offset: 0, bytes: filled(1, 100) },
      { offset: 50, bytes: filled(2, 100) },
    ];
    const torn = states({ a: at([0], overlapping) }, 8).map((files) => [0, 50, 100].map((offset) => files.get("a")?.[offset]).join(" "));
    expect(sorted(torn)).toEqual(["0 0 0", "0 2 2", "1 1 0", "1 2 2"]);
  });

  test("of two files are all pairs", () => {
    const found = states({ a: at([0], [change(0, 1)]), b: at([5], [change(0, 6)]) }, 4);
    expect(found.map((files) => [...texts([files]), ...texts([files], "b")].join(" ")).sort()).toEqual(["0 5", "0 6", "1 5", "1 6"]);
  });

  test("leave a disk alone where all is flushed, and count a change that changes nothing as none", () => {
    expect(texts(states({ a: at([1, 2], []) }, 1))).toEqual(["1 2"]);
    expect(texts(states({ a: at([1, 2], [change(1, 2)]) }, 4))).toEqual(["1 2"]);
  });

  test("of a file that grew: shorter, grown with zeros, and written", () => {
    expect(sorted(texts(states({ a: at([7], [change(1, 1)], 2 * SECTOR) }, 3)))).toEqual(["7", "7 0", "7 1"]);
    const two = sorted(texts(states({ a: at([7], [change(1, 1), change(2, 2)], 3 * SECTOR) }, 6)));
    expect(two).toEqual(["7", "7 0 0", "7 0 2", "7 1", "7 1 0", "7 1 2"]);
  });

  test("of a file that ends within a sector", () => {
    const found = states(
      { a: { durable: PagedBytes.from(filled(7, 100)), size: 300, changes: [{ offset: 50, bytes: filled(1, 250) }] } },
      3,
    );
    expect(sorted(found.map((files) => `${files.get("a")?.length} ${files.get("a")?.[99]}`))).toEqual(["100 7", "300 1", "300 7"]);
  });

  test("of a write in flight beyond the end that the file has", () => {
    expect(sorted(texts(states({ a: at([7], [change(1, 1)]) }, 2)))).toEqual(["7", "7 1"]);
  });
});

describe("a sample", () => {
  const five = [0, 1, 2, 3, 4].map((sector) => change(sector, sector + 1));
  const file = at([0, 0, 0, 0, 0], five);

  test("is taken where there are more than the bound, and has as many", () => {
    expect(states({ a: file }, 32)).toHaveLength(32);
    expect(new Set(texts(states({ a: file }, 32))).size).toBe(32);
    for (const bound of [1, 2, 3, 5, 24, 31]) expect(states({ a: file }, bound)).toHaveLength(bound);
  });

  test("has none, all, and of the changes each prefix, each alone, and all but each", () => {
    const found = texts(states({ a: file }, 30));
    expect(found.slice(0, 2)).toEqual(["0 0 0 0 0", "1 2 3 4 5"]);
    expect(found).toEqual(expect.arrayContaining(["1 0 0 0 0", "1 2 0 0 0", "1 2 3 0 0", "1 2 3 4 0"]));
    expect(found).toEqual(expect.arrayContaining(["0 2 0 0 0", "0 0 3 0 0", "0 0 0 4 0", "0 0 0 0 5"]));
    expect(found).toEqual(expect.arrayContaining(["0 2 3 4 5", "1 0 3 4 5", "1 2 0 4 5", "1 2 3 0 5"]));
  });

  test("keeps those of the last changes where the bound is small", () => {
    const found = texts(states({ a: file }, 8));
    expect(found.slice(0, 6)).toEqual(["0 0 0 0 0", "1 2 3 4 5", "1 2 3 4 0", "0 0 0 4 0", "1 2 3 0 5", "0 0 0 0 5"]);
  });

  test("has a file that grew though nothing is written there", () => {
    const growing = at(
      [7],
      [1, 2, 3, 4, 5].map((sector) => change(sector, sector)),
      6 * SECTOR,
    );
    expect(texts(states({ a: growing }, 5)).slice(0, 3)).toEqual(["7", "7 0 0 0 0 0", "7 1 2 3 4 5"]);
  });

  test("is the same with the same seed, and tears one large write anywhere", () => {
    const large = at(
      Array.from({ length: 16 }, () => 0),
      [change(0, 1, 16)],
    );
    expect(texts(states({ a: large }, 20, 3))).toEqual(texts(states({ a: large }, 20, 3)));
    expect(texts(states({ a: large }, 20, 3))).not.toEqual(texts(states({ a: large }, 20, 4)));
    expect(texts(states({ a: large }, 20, 3)).filter((text) => text.includes("0 1") || text.includes("1 0")).length).toBeGreaterThan(10);
  });

  test("does not build all contents of a sector that was changed again and again", () => {
    const updates = Array.from({ length: 64 }, (_, index) => ({ offset: index * 8, bytes: filled(index + 1, 8) }));
    const found = states({ a: at([0], updates) }, 24);
    expect(found).toHaveLength(24);
    const entries = found.map((files) => [...(files.get("a") ?? [])].filter((_byte, index) => index % 8 === 0));
    const all = Array.from({ length: 64 }, (_, index) => index + 1);
    expect(entries[1]).toEqual(all);
    expect(entries).toContainEqual(all.map((value) => (value === 64 ? 0 : value)));
    expect(entries).toContainEqual(all.map((value) => (value === 62 ? 0 : value)));
  });
});
