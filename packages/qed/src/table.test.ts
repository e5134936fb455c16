import { expect, test } from "vitest";

import { Table } from "./table.ts";

const boundaries = [1, 2 ** 31 - 4096, 2 ** 31, 2 ** 32 - 4096, 2 ** 32, 2 ** 32 + 4096, 2 ** 52, 2 ** 53 - 4096];

test("entries keep every bit up to 2^53", () => {
  const table = new Table(64);
  boundaries.forEach((first, index) => table.setRun({ index, count: 1, first, step: 0 }));
  const view = new DataView(table.bytes.buffer);
  boundaries.forEach((value, index) => {
    expect(table.entry(index)).toBe(value);
    expect(view.getBigUint64(index * 8, true)).toBe(BigInt(value));
  });
});

test("an entry above 2^53 stays above every file", () => {
  const table = new Table(1);
  table.bytes.fill(0xff, 0, 8);
  expect(table.entry(0)).toBeGreaterThanOrEqual(2 ** 63);
});

test("has whole sectors", () => {
  expect([0, 1, 64, 65].map((entries) => new Table(entries).entries)).toEqual([64, 64, 64, 128]);
});

test("runs end at another value, another step, and the limit", () => {
  const table = new Table(64);
  table.setRun({ index: 2, count: 3, first: 2 ** 32 - 4096, step: 4096 });
  table.setRun({ index: 5, count: 2, first: 2 ** 32 - 4096, step: 4096 });
  table.setRun({ index: 7, count: 2, first: 1, step: 0 });
  const run = (index: number, entries: number, step: number, offset = 0): number => table.runLength(10, index, step, offset, entries * 10);
  expect(run(0, 64, 0)).toBe(20);
  expect(run(2, 62, 4096)).toBe(30);
  expect(run(2, 2, 4096)).toBe(20);
  expect(run(2, 2, 4096, 7)).toBe(20);
  expect(run(5, 59, 4096)).toBe(20);
  expect(run(5, 59, 4096, 123)).toBe(17);
  expect(run(7, 57, 0)).toBe(20);
  expect(run(9, 99, 0)).toBe(550);
  expect(table.runLength(10, 0, 0, 3, 1)).toBe(1);
});

test("sectors are the touched ones alone, and copies", () => {
  const table = new Table(256);
  table.setRun({ index: 0, count: 256, first: 1, step: 0 });
  const sectors = table.sectorsWith({ index: 127, count: 2, first: 65536, step: 65536 });
  expect(sectors.offset).toBe(512);
  expect(sectors.bytes.length).toBe(1024);
  const view = new DataView(sectors.bytes.buffer);
  expect([62, 63, 64, 65].map((index) => Number(view.getBigUint64(index * 8, true)))).toEqual([1, 65536, 131072, 1]);
  expect(table.entry(127)).toBe(1);
});
