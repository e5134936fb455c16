import { expect, test } from "vitest";
import { PagedBytes } from "../storage/paged-bytes.ts";
import { SimFile } from "./sim-file.ts";

const SECTOR = 512;

function filled(value: number, length = SECTOR): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** The first bytes of the changes that no flush covers. */
function open(file: SimFile): readonly (number | undefined)[] {
  return file.atCut([]).changes.map(({ bytes }) => bytes[0]);
}

test("reads see every write, growth and shrinking; what lies between reads as zeros", () => {
  const content = Buffer.from([1, 2, 3, 4]);
  const file = new SimFile(PagedBytes.from(content));
  content.fill(9);
  file.write(6, filled(5, 2));
  expect([...file.snapshot()]).toEqual([1, 2, 3, 4, 0, 0, 5, 5]);
  file.resize(3);
  file.resize(6);
  expect([...file.snapshot()]).toEqual([1, 2, 3, 0, 0, 0]);
  const seen = filled(7, 2);
  file.read(2, seen);
  expect([...seen]).toEqual([3, 0]);
  expect(file.size).toBe(6);
});

test("a flush covers the writes that had completed before it began, and no other", () => {
  const file = new SimFile(PagedBytes.from(filled(0)));
  file.write(0, filled(1));
  const end = file.beginFlush();
  file.write(SECTOR, filled(2));
  expect(open(file)).toEqual([1, 2]);
  expect(file.atCut([]).durable.toBytes()).toEqual(filled(0));
  end();
  expect(open(file)).toEqual([2]);
  expect(file.atCut([]).durable.toBytes()).toEqual(filled(1));
});

test("flushes that overtake each other take nothing back", () => {
  const file = new SimFile(PagedBytes.from(filled(0)));
  file.write(0, filled(1));
  const first = file.beginFlush();
  file.write(0, filled(2));
  const second = file.beginFlush();
  file.write(0, filled(3));
  second();
  expect([open(file), file.atCut([]).durable.toBytes()[0]]).toEqual([[3], 2]);
  first();
  expect([open(file), file.atCut([]).durable.toBytes()[0]]).toEqual([[3], 2]);
});

test("a flush covers what it has to also where a resize comes between", () => {
  const file = new SimFile(PagedBytes.from(filled(0, 4 * SECTOR)));
  file.write(0, filled(1, 3 * SECTOR));
  const end = file.beginFlush();
  file.resize(2 * SECTOR);
  file.resize(4 * SECTOR);
  end();
  expect(open(file)).toEqual([]);
  expect(Buffer.compare(file.atCut([]).durable.toBytes(), Buffer.concat([filled(1, 2 * SECTOR), filled(0, 2 * SECTOR)]))).toBe(0);
});

test("a resize is on the disk at once, and what it cuts off comes never back", () => {
  const file = new SimFile(PagedBytes.from(filled(7, 2 * SECTOR)));
  file.write(SECTOR / 2, filled(1, SECTOR));
  file.write(SECTOR, filled(2));
  file.resize(SECTOR);
  const { durable, ...rest } = file.atCut([]);
  expect(durable.toBytes()).toEqual(filled(7));
  expect(rest).toEqual({
    size: SECTOR,
    changes: [expect.objectContaining({ offset: SECTOR / 2, bytes: filled(1, SECTOR / 2) })],
  });
});

test("writes in flight come last at a cut, and a cut stays as it is", () => {
  const file = new SimFile(PagedBytes.from(filled(0)));
  file.write(0, filled(1));
  const cut = file.atCut([{ offset: 0, bytes: filled(2) }]);
  file.beginFlush()();
  file.write(0, filled(3));
  expect(cut.changes.map(({ bytes }) => bytes[0])).toEqual([1, 2]);
  expect([cut.durable.toBytes()[0], cut.size]).toEqual([0, SECTOR]);
});
