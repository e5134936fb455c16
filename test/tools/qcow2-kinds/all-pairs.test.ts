import { expect, it } from "vitest";
import { allPairs, type Combination } from "./all-pairs.ts";
import { isPossible, KIND_CHOICES, QCOW2_KINDS } from "./kinds.ts";

const CHOICES = { colour: ["red", "green", "blue"], size: [1, 2, 3], hollow: [true, false] } as const;
type Thing = Combination<typeof CHOICES>;

it("has every two choices that can come together, in few combinations", () => {
  const noRedThree = ({ colour, size }: Thing): boolean => colour !== "red" || size !== 3;
  const things = allPairs(CHOICES, noRedThree);
  expect(things.every(noRedThree)).toBe(true);
  expect(things.length).toBeLessThan(11);
  for (const colour of CHOICES.colour)
    for (const size of CHOICES.size)
      expect(things.some((thing) => thing.colour === colour && thing.size === size)).toBe(colour !== "red" || size !== 3);
  for (const hollow of CHOICES.hollow)
    for (const size of CHOICES.size) expect(things.some((thing) => thing.hollow === hollow && thing.size === size)).toBe(true);
});

it("of kinds of qcow2 image has each choice, and none that cannot be made", () => {
  expect(QCOW2_KINDS.every(isPossible)).toBe(true);
  for (const [name, values] of Object.entries(KIND_CHOICES))
    for (const value of values)
      expect(
        QCOW2_KINDS.some((kind) => kind[name as keyof typeof kind] === value),
        `${name} ${String(value)}`,
      ).toBe(true);
  expect(QCOW2_KINDS.some(({ encryption, backing, dataFile }) => encryption === "luks" && backing === "qcow2" && dataFile === "none")).toBe(
    true,
  );
});
