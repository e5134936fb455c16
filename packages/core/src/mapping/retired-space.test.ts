import { expect, test } from "vitest";
import type { BlockChild } from "../child.ts";
import type { HostSpan } from "../driver.ts";
import { RetiredSpace } from "./retired-space.ts";

const child = { name: "file" } as BlockChild;

function span(childOffset: number, length = 10): HostSpan {
  return { child, childOffset, length };
}

function flush(retired: RetiredSpace): void {
  retired.flushed(retired.startFlush());
}

test("a span settles once a flush that began after it has succeeded", () => {
  const retired = new RetiredSpace();
  const early = retired.startFlush();
  retired.retire(span(0));
  expect(retired.takeSettled(), "no flush at all").toEqual([]);
  retired.flushed(early);
  expect(retired.takeSettled(), "a flush that began before").toEqual([]);
  const late = retired.startFlush();
  expect(retired.takeSettled(), "a flush that has not ended").toEqual([]);
  retired.flushed(late);
  expect(retired.bytes).toBe(10);
  expect(retired.takeSettled()).toEqual([span(0)]);
  expect(retired.takeSettled(), "answered once").toEqual([]);
  expect(retired.bytes).toBe(0);
});

test("a span waits for the I/O that began before it was retired, not for later I/O", () => {
  const retired = new RetiredSpace();
  const before = retired.beginIo();
  retired.retire(span(0));
  const after = retired.beginIo();
  flush(retired);
  expect(retired.takeSettled()).toEqual([]);
  before[Symbol.dispose]();
  expect(retired.takeSettled(), "I/O that began afterwards is still going on").toEqual([span(0)]);
  after[Symbol.dispose]();
});

test("spans of several epochs settle in order, each when its own I/O has ended", () => {
  const retired = new RetiredSpace();
  const first = retired.beginIo();
  retired.retire(span(0));
  const second = retired.beginIo();
  retired.retire(span(100));
  flush(retired);
  second[Symbol.dispose]();
  expect(retired.takeSettled(), "the first epoch is older than both").toEqual([]);
  first[Symbol.dispose]();
  expect(retired.takeSettled()).toEqual([span(0), span(100)]);
});

test("I/O between two spans holds back the second alone", () => {
  const retired = new RetiredSpace();
  retired.retire(span(0));
  const between = retired.beginIo();
  retired.retire(span(100));
  flush(retired);
  expect(retired.takeSettled()).toEqual([span(0)]);
  between[Symbol.dispose]();
  expect(retired.takeSettled()).toEqual([span(100)]);
});
