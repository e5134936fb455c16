import { expect, test } from "vitest";
import type { BlockChild } from "../child.ts";
import type { HostSpan } from "../driver.ts";
import { DecodedUnits } from "./decoded-units.ts";

function child(name: string): BlockChild {
  return { name } as BlockChild;
}
const file = child("file");

function span(childOffset: number, length = 100, of = file): HostSpan {
  return { child: of, childOffset, length };
}

/** Counts how often it decodes. */
function decoder(length: number): { readonly decode: () => Promise<Uint8Array>; readonly count: () => number } {
  let count = 0;
  return {
    decode: async () => {
      count++;
      return new Uint8Array(length).fill(count);
    },
    count: () => count,
  };
}

test("callers at the same time, and afterwards, share one decode", async () => {
  const units = new DecodedUnits();
  const { decode, count } = decoder(10);
  const [first, second] = await Promise.all([units.get(span(0), 10, decode), units.get(span(0), 10, decode)]);
  expect(first).toBe(second);
  expect(await units.get(span(0), 10, decode)).toBe(first);
  expect(count()).toBe(1);
});

test("units of another place, length or file are others", async () => {
  const units = new DecodedUnits();
  const { decode, count } = decoder(10);
  for (const other of [span(0), span(1), span(0, 99), span(0, 100, child("data"))]) await units.get(other, 10, decode);
  expect(count()).toBe(4);
});

test("a copy is dropped with any byte that it was decoded from", async () => {
  const units = new DecodedUnits();
  const { decode, count } = decoder(10);
  const get = (): Promise<Uint8Array> => units.get(span(100), 10, decode);
  await get();
  units.drop(span(0, 100));
  units.drop(span(200, 100));
  units.drop(span(150, 1, child("file")));
  await get();
  expect(count(), "neighbours, and another file of the same name").toBe(1);
  units.drop(span(199, 1));
  await get();
  units.drop(span(0, 101));
  await get();
  units.drop(span(100, 1));
  await get();
  expect(count()).toBe(4);
});

test("a failed decode is tried again, and fails nobody but its callers", async () => {
  const units = new DecodedUnits();
  const failure = new Error("bad bytes");
  await expect(units.get(span(0), 10, () => Promise.reject(failure))).rejects.toBe(failure);
  const { decode } = decoder(10);
  expect((await units.get(span(0), 10, decode))[0]).toBe(1);
});

test("the least recently used copies go first, and one unit is always kept", async () => {
  const units = new DecodedUnits();
  const { decode, count } = decoder(1);
  const MIB = 1024 * 1024;
  await units.get(span(0), 2 * MIB, decode);
  await units.get(span(1000), 2 * MIB, decode);
  await units.get(span(0), 2 * MIB, decode);
  await units.get(span(2000), 2 * MIB, decode);
  expect(count()).toBe(3);
  await units.get(span(0), 2 * MIB, decode);
  expect(count(), "was used last").toBe(3);
  await units.get(span(1000), 2 * MIB, decode);
  expect(count(), "was not used last").toBe(4);
  await units.get(span(3000), 100 * MIB, decode);
  await units.get(span(3000), 100 * MIB, decode);
  expect(count()).toBe(5);
});
