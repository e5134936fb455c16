/** qcow2 images of all kinds in both directions: what either program makes and writes, the other reads, and tells of it the same. */

import { describe, expect, it } from "vitest";
import { KindImage, type Side } from "./kind-image.ts";
import { nameOf, QCOW2_KINDS } from "./kinds.ts";

/** Every eighth kind; `COBLOCK_DIFFERENTIAL=all` runs all, which takes minutes. */
const STEP = process.env["COBLOCK_DIFFERENTIAL"] === "all" ? 1 : 8;

describe.each([
  ["theirs", "ours"],
  ["ours", "theirs"],
] as const)("an image of %s", (maker, other) => {
  const kinds = QCOW2_KINDS.map((kind, index) => ({ kind, index, name: nameOf(kind) }));
  const first = maker === "ours" ? STEP / 2 : 0;
  it.each(kinds.filter(({ kind, index }) => (maker === "theirs" || kind.encryption !== "aes") && index % STEP === Math.floor(first)))(
    "$name",
    async ({ kind, index }) => {
      using image = new KindImage(kind, index);
      await image.make(maker);
      await image.write(maker);
      await expectSame(image);
      await image.snapshot(other, "one");
      await image.addBitmap(maker);
      await writeAndExpect(image, kind.encryption === "aes" ? "theirs" : other);
      await image.snapshot(maker, "two");
      await writeAndExpect(image, maker);
    },
  );
});

async function writeAndExpect(image: KindImage, side: Side): Promise<void> {
  await image.write(side);
  await expectSame(image);
}

async function expectSame(image: KindImage): Promise<void> {
  for (const side of ["theirs", "ours"] as const) expect((await image.content(side)).equals(image.model), `what ${side} reads`).toBe(true);
  for (const [name, told] of Object.entries(await image.told())) expect(told.ours, name).toBe(told.theirs);
  const { theirs, ours } = await image.dirty();
  expect(ours, "what has changed").toEqual(theirs);
}
