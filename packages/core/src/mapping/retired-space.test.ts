import { expect, test } from "vitest";
import type { BlockChild } from "../child.ts";
import type { HostSpan } from "../driver.ts";
import { RetiredSpace, type SettledSpan } from "./retired-space.ts";

const child = { name: "file" } as BlockChild;

function span(childOffset: number, length = 10): HostSpan {
  return { child, childOffset, length };
}

function settled(childOffset: number, discard: boolean): SettledSpan {
  return { span: span(childOffset), discard, kept: false };
}

function flush(retired: RetiredSpace): void {
  retired.flushed(retired.startFlush());
}

test("a span settles once a flush that began after it has succeeded", () => {
  const retired = new RetiredSpace();
  const early = retired.startFlush();
  retired.retire(span(0), true);
  expect(retired.takeSettled(), "no flush at all").toEqual([]);
  retired.flushed(early);
  expect(retired.takeSettled(), "a flush that began before").toEqual([]);
  const late = retired.startFlush();
  expect(retired.takeSettled(), "a flush that has not ended").toEqual([]);
  retired.flushed(late);
  expect(retired.bytes).toBe(10);
  expect(retired.takeSettled()).toEqual([settled(0, true)]);
  expect(retired.takeSettled(), "answered once").toEqual([]);
  expect(retired.bytes).toBe(0);
});

test("a span waits for the I/O that began before it was retired, not for later I/O", () => {
  const retired = new RetiredSpace();
  const before = retired.beginIo();
  retired.retire(span(0), true);
  const after = retired.beginIo();
  flush(retired);
  expect(retired.takeSettled()).toEqual([]);
  before[Symbol.dispose]();
  expect(retired.takeSettled(), "I/O that began afterwards is still going on").toEqual([settled(0, true)]);
  after[Symbol.dispose]();
});

test("spans of several epochs settle in order, each when its own I/O has ended", () => {
  const retired = new RetiredSpace();
  const first = retired.beginIo();
  retired.retire(span(0), true);
  const second = retired.beginIo();
  retired.retire(span(100), false);
  flush(retired);
  second[Symbol.dispose]();
  expect(retired.takeSettled(), "the first epoch is older than both").toEqual([]);
  first[Symbol.dispose]();
  expect(retired.takeSettled()).toEqual([settled(0, true), settled(100, false)]);
});

test("I/O between two spans holds back the second alone", () => {
  const retired = new RetiredSpace();
  retired.retire(span(0), true);
  const between = retired.beginIo();
  retired.retire(span(100), false);
  flush(retired);
  expect(retired.takeSettled()).toEqual([settled(0, true)]);
  between[Symbol.dispose]();
  expect(retired.takeSettled()).toEqual([settled(100, false)]);
});

function emptied(childOffset: number, length: number): SettledSpan {
  return { span: span(childOffset, length), discard: true, kept: true };
}

test("a span that is kept settles as one that is not", () => {
  const retired = new RetiredSpace();
  const before = retired.beginIo();
  retired.empty(span(0));
  flush(retired);
  expect(retired.takeSettled()).toEqual([]);
  before[Symbol.dispose]();
  expect(retired.takeSettled()).toEqual([emptied(0, 10)]);
  expect(retired.bytes).toBe(0);
});

test("what is written to again is not settled, and what lies beside it is", () => {
  const retired = new RetiredSpace();
  retired.empty(span(100, 100));
  retired.empty(span(300, 10));
  expect(retired.refill(span(130, 20))).toBe(undefined);
  expect(retired.refill(span(295, 100))).toBe(undefined);
  expect(retired.bytes).toBe(80);
  flush(retired);
  expect(retired.takeSettled()).toEqual([emptied(100, 30), emptied(150, 50)]);
  expect(retired.bytes).toBe(0);
});

test("kept space that is given up for good settles once", () => {
  const retired = new RetiredSpace();
  retired.empty(span(0, 30));
  retired.retire(span(10), false);
  flush(retired);
  expect(retired.takeSettled()).toEqual([emptied(0, 10), emptied(20, 10), settled(10, false)]);
});

test("while the host is given kept space, who wants it waits, and what is retired meanwhile too", async () => {
  const retired = new RetiredSpace();
  retired.empty(span(0));
  flush(retired);
  const emptying = retired.emptying(retired.takeSettled().map((entry) => entry.span));
  let refilled = false;
  const refill = retired.refill(span(9, 1))?.then(() => (refilled = true));
  expect(retired.refill(span(10))).toBe(undefined);
  retired.retire(span(0), false);
  flush(retired);
  await Promise.resolve();
  expect([refilled, retired.takeSettled()]).toEqual([false, []]);
  emptying[Symbol.dispose]();
  await refill;
  expect([refilled, retired.takeSettled()]).toEqual([true, [settled(0, false)]]);
});
