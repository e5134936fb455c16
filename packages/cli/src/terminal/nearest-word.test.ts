import { expect, it } from "vitest";
import { nearestWord } from "./nearest-word.ts";

const KNOWN = ["check", "commit", "compare", "convert", "create", "info", "map", "rebase", "resize"];

it.each([
  ["covnert", "convert"],
  ["inof", "info"],
  ["chek", "check"],
  ["Resize", "resize"],
  ["rebsae", "rebase"],
  ["compair", "compare"],
  ["nonsense", undefined],
  ["", undefined],
  ["xx", undefined],
])("%s is near %s", (typed, expected) => {
  expect(nearestWord(typed, KNOWN)).toBe(expected);
});
