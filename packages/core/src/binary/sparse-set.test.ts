import { expect, test } from "vitest";

import { SparseSet } from "./sparse-set.ts";

test("a number is new once", () => {
  const map = new SparseSet();
  for (const cluster of [0, 7, 8, 31, 32, 32767, 32768, 2 ** 40 + 3]) {
    expect(map.has(cluster)).toBe(false);
    expect(map.add(cluster)).toBe(true);
    expect(map.add(cluster)).toBe(false);
    expect(map.has(cluster)).toBe(true);
  }
});

test("gaps are exact at both ends, also across what was never touched", () => {
  const map = new SparseSet();
  for (const cluster of [1, 5, 6, 40000, 200000]) map.add(cluster);
  expect([...map.gaps(1, 200002)]).toEqual([
    { start: 2, end: 5 },
    { start: 7, end: 40000 },
    { start: 40001, end: 200000 },
    { start: 200001, end: 200002 },
  ]);
  expect([...map.gaps(5, 7)]).toEqual([]);
  expect([...map.gaps(3, 3)]).toEqual([]);
  expect([...map.gaps(300000, 300001)]).toEqual([{ start: 300000, end: 300001 }]);
});

test("agrees with a set", () => {
  const map = new SparseSet();
  const used = new Set<number>();
  for (let cluster = 0; cluster < 100_000; cluster = cluster * 3 + 1 + (cluster % 5)) {
    map.add(cluster);
    used.add(cluster);
  }
  const free = [...map.gaps(0, 100_000)].flatMap(({ start, end }) => Array.from({ length: end - start }, (_, index) => start + index));
  expect(free).toEqual(Array.from({ length: 100_000 }, (_, cluster) => cluster).filter((cluster) => !used.has(cluster)));
});

test("memory grows with the set, wherever its clusters are", () => {
  const before = process.memoryUsage().arrayBuffers;
  const map = new SparseSet();
  for (let index = 0; index < 50_000; index++) map.add(index * 2 ** 20 + (index % 7));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  const gaps = [...map.gaps(0, 50_000 * 2 ** 20)];
  expect(gaps.length).toBe(50_000);
  expect(gaps.at(-1)).toEqual({ start: 49_999 * 2 ** 20 + 6, end: 50_000 * 2 ** 20 });
});
