import { expect, test } from "vitest";
import { settled, watch } from "../fixture/lab.ts";
import { RangeClaims } from "./range-claims.ts";

function range(start: number, end: number): { readonly start: number; readonly end: number } {
  return { start, end };
}

test("shared claims meet, exclusive ones meet nobody", () => {
  const claims = new RangeClaims();
  const shared = claims.tryTake(range(0, 10), "shared");
  expect(claims.tryTake(range(5, 15), "shared")).toBeDefined();
  expect(claims.tryTake(range(9, 20), "exclusive")).toBeUndefined();
  expect(claims.tryTake(range(15, 20), "exclusive")).toBeDefined();
  expect(claims.tryTake(range(19, 25), "shared")).toBeUndefined();
  expect(claims.tryTake(range(20, 25), "shared")).toBeDefined();
  expect(shared?.covers(range(2, 8), "shared")).toBe(true);
  expect(shared?.covers(range(2, 8), "exclusive")).toBe(false);
  expect(shared?.covers(range(2, 11), "shared")).toBe(false);
});

test("first come first served: who comes later does not overtake who waits, unless their ranges never meet", async () => {
  const claims = new RangeClaims();
  const first = claims.tryTake(range(0, 10), "shared");
  const writer = watch(claims.take(range(5, 15), "exclusive", undefined));
  expect(claims.tryTake(range(0, 6), "shared"), "would starve the writer").toBeUndefined();
  expect(claims.tryTake(range(12, 13), "shared"), "meets the range that is waited for").toBeUndefined();
  expect(claims.tryTake(range(0, 5), "shared")).toBeDefined();
  const reader = watch(claims.take(range(14, 20), "shared", undefined));
  await settled();
  expect([writer.state, reader.state]).toEqual(["pending", "pending"]);
  first?.[Symbol.dispose]();
  await settled();
  expect([writer.state, reader.state]).toEqual(["fulfilled", "pending"]);
});

test("a claim that shrinks lets those in who no longer meet it", async () => {
  const claims = new RangeClaims();
  const held = claims.tryTake(range(0, 100), "exclusive");
  const left = watch(claims.take(range(0, 10), "shared", undefined));
  const right = watch(claims.take(range(90, 100), "shared", undefined));
  held?.shrink(range(0, 50));
  await settled();
  expect([left.state, right.state]).toEqual(["pending", "fulfilled"]);
  expect(() => held?.shrink(range(0, 60))).toThrow("can only shrink");
});

test("a waiter whose signal aborts makes way for those behind it", async () => {
  const claims = new RangeClaims();
  const held = claims.tryTake(range(0, 10), "shared");
  const stop = new AbortController();
  const waiting = claims.take(range(0, 10), "exclusive", { signal: stop.signal, who: "the one that leaves" });
  const behind = watch(claims.take(range(0, 10), "shared", undefined));
  expect(claims.inspect()).toEqual({
    held: ["shared 0x0..0xa"],
    waiting: ["the one that leaves: exclusive 0x0..0xa", "request: shared 0x0..0xa"],
  });
  const reason = new Error("stopped");
  stop.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await settled();
  expect(behind.state).toBe("fulfilled");
  held?.[Symbol.dispose]();
  expect(claims.inspect().waiting).toEqual([]);
  await expect(claims.take(range(0, 1), "shared", { signal: stop.signal })).rejects.toBe(reason);
});

test("a claim is given back once", async () => {
  const claims = new RangeClaims();
  const held = claims.tryTake(range(0, 10), "exclusive");
  held?.[Symbol.dispose]();
  const next = claims.tryTake(range(0, 10), "exclusive");
  held?.[Symbol.dispose]();
  expect(claims.inspect().held).toEqual(["exclusive 0x0..0xa"]);
  next?.[Symbol.dispose]();
  expect(claims.inspect()).toEqual({ held: [], waiting: [] });
});
