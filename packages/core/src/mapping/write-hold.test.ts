import { expect, test } from "vitest";
import { settled, watch } from "../fixture/lab.ts";
import { AllocationSlots } from "./allocation-slots.ts";
import { RangeClaims } from "./range-claims.ts";
import { WriteHold } from "./write-hold.ts";

const RANGE = { start: 0, end: 10 };

test("waiting for a claim lets the old claim go, and keeps the slot", async () => {
  const claims = new RangeClaims();
  const slots = new AllocationSlots();
  using hold = new WriteHold(claims, slots);
  const other = claims.tryTake({ start: 20, end: 30 }, "exclusive");
  expect(hold.trySlot()).toBe(true);
  expect(hold.tryClaim(RANGE, "exclusive")).toBe(true);
  const waiting = watch(hold.takeClaim({ start: 20, end: 30 }, "exclusive", undefined));
  await settled();
  expect(waiting.state).toBe("pending");
  expect(claims.inspect().held).toEqual(["exclusive 0x14..0x1e"]);
  expect(slots.inspect().taken).toBe(1);
  other?.[Symbol.dispose]();
  await settled();
  expect(waiting.state).toBe("fulfilled");
});

test("waiting for a slot lets the claim go", async () => {
  const claims = new RangeClaims();
  const slots = new AllocationSlots();
  slots.limit = 1;
  const taken = slots.tryEnter();
  using hold = new WriteHold(claims, slots);
  expect(hold.tryClaim(RANGE, "shared")).toBe(true);
  expect(hold.trySlot()).toBe(false);
  const waiting = watch(hold.takeSlot(undefined));
  expect(claims.inspect().held).toEqual([]);
  taken?.[Symbol.dispose]();
  await settled();
  expect(waiting.state).toBe("fulfilled");
});

test("a claim that is enough is kept; disposing gives everything back, once", () => {
  const claims = new RangeClaims();
  const slots = new AllocationSlots();
  const hold = new WriteHold(claims, slots);
  hold.trySlot();
  hold.tryClaim({ start: 0, end: 100 }, "exclusive");
  expect(hold.tryClaim(RANGE, "shared")).toBe(true);
  expect(claims.inspect().held).toEqual(["exclusive 0x0..0x64"]);
  hold.releaseSlot();
  hold.releaseSlot();
  hold[Symbol.dispose]();
  hold[Symbol.dispose]();
  expect(claims.inspect()).toEqual({ held: [], waiting: [] });
  expect(slots.inspect().taken).toBe(0);
});
