import { expect, test } from "vitest";
import { ReadAhead } from "./read-ahead.ts";

test("who begins anew gets nothing ahead, who goes on gets what it has read so far, up to the limit", () => {
  const ahead = new ReadAhead(1000);
  expect([0, 100, 200, 300].map((offset) => ahead.after(offset, 100))).toEqual([0, 200, 300, 400]);
  expect(ahead.after(5000, 2000)).toBe(0);
  expect(ahead.after(7000, 10)).toBe(1000);
  expect(ahead.after(400, 100)).toBe(500);
});

test("eight readers are told apart, a ninth takes the place of the one not heard of for longest", () => {
  const ahead = new ReadAhead(1000);
  for (let reader = 0; reader < 8; reader++) ahead.after(reader * 10_000, 10);
  expect(ahead.after(10, 10)).toBe(20);
  ahead.after(90_000, 10);
  expect(ahead.after(10_010, 10)).toBe(0);
  expect(ahead.after(20, 10)).toBe(30);
});
