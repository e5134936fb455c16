import { expect, test } from "vitest";

import { type RecencyLinks, RecencyList } from "./recency-list.ts";

class Item implements RecencyLinks<Item> {
  readonly name: string;
  older: Item | undefined;
  newer: Item | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

/** Names from the oldest to the newest, checked against the way back. */
function namesIn(list: RecencyList<Item>): string {
  let forwards = "";
  let backwards = "";
  for (let item = list.oldest; item !== undefined; item = item.newer) forwards += item.name;
  for (let item = list.newest; item !== undefined; item = item.older) backwards = item.name + backwards;
  expect(backwards).toBe(forwards);
  return forwards;
}

test("keeps the order of use", () => {
  const list = new RecencyList<Item>();
  const [a, b, c] = [new Item("a"), new Item("b"), new Item("c")] as const;
  expect(namesIn(list)).toBe("");
  for (const item of [a, b, c]) list.add(item);
  expect(namesIn(list)).toBe("abc");
  list.use(c);
  expect(namesIn(list)).toBe("abc");
  list.use(a);
  expect(namesIn(list)).toBe("bca");
  list.use(c);
  expect(namesIn(list)).toBe("bac");
});

test("takes items out of the middle and of both ends, and takes them back", () => {
  const list = new RecencyList<Item>();
  const items = ["a", "b", "c", "d"].map((name) => new Item(name));
  const [a, b, , d] = items;
  for (const item of items) list.add(item);
  for (const [item, rest] of [
    [b, "acd"],
    [a, "cd"],
    [d, "c"],
  ] as const) {
    if (item !== undefined) list.remove(item);
    expect(namesIn(list)).toBe(rest);
  }
  if (b !== undefined) list.add(b);
  expect(namesIn(list)).toBe("cb");
});
