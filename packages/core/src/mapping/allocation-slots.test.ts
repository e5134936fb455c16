import { expect, test } from "vitest";
import { settled, watch } from "../fixture/lab.ts";
import { AllocationSlots } from "./allocation-slots.ts";

test("without a limit everybody enters", () => {
  const slots = new AllocationSlots();
  for (let count = 0; count < 100; count++) expect(slots.tryEnter()).toBeDefined();
});

test("with a limit of one they enter one after the other, first come first served", async () => {
  const slots = new AllocationSlots();
  slots.limit = 1;
  const entered: string[] = [];
  const enter = async (who: string): Promise<void> => {
    using _slot = await slots.enter({ who });
    entered.push(who);
    await settled();
  };
  const all = ["a", "b", "c"].map(enter);
  expect(slots.tryEnter(), "overtakes those who wait").toBeUndefined();
  expect(slots.inspect()).toEqual({ taken: 1, plugged: false, waiting: ["b", "c"] });
  await Promise.all(all);
  expect(entered).toEqual(["a", "b", "c"]);
  expect(slots.inspect()).toEqual({ taken: 0, plugged: false, waiting: [] });
});

test("a slot is given back once", () => {
  const slots = new AllocationSlots();
  slots.limit = 1;
  const slot = slots.tryEnter();
  slot?.[Symbol.dispose]();
  expect(slots.tryEnter()).toBeDefined();
  slot?.[Symbol.dispose]();
  expect(slots.tryEnter()).toBeUndefined();
});

test("a plug waits for those inside, keeps the others out, and lets them in when it goes", async () => {
  const slots = new AllocationSlots();
  const inside = slots.tryEnter();
  const plugging = slots.plug();
  const plugged = watch(plugging);
  expect(slots.tryEnter(), "enters beside a plug").toBeUndefined();
  const waiting = watch(slots.enter(undefined));
  await settled();
  expect([plugged.state, waiting.state]).toEqual(["pending", "pending"]);
  inside?.[Symbol.dispose]();
  await settled();
  expect([plugged.state, waiting.state]).toEqual(["fulfilled", "pending"]);
  const second = await slots.plug();
  (await plugging)[Symbol.dispose]();
  await settled();
  expect(waiting.state, "a second plug is still in").toBe("pending");
  second[Symbol.dispose]();
  second[Symbol.dispose]();
  await settled();
  expect(waiting.state).toBe("fulfilled");
});

test("a waiter whose signal aborts leaves", async () => {
  const slots = new AllocationSlots();
  slots.limit = 1;
  const slot = slots.tryEnter();
  const stop = new AbortController();
  const leaving = slots.enter({ signal: stop.signal });
  const behind = watch(slots.enter(undefined));
  const reason = new Error("stopped");
  stop.abort(reason);
  await expect(leaving).rejects.toBe(reason);
  await expect(slots.enter({ signal: stop.signal })).rejects.toBe(reason);
  slot?.[Symbol.dispose]();
  await settled();
  expect(behind.state).toBe("fulfilled");
  expect(slots.inspect().taken).toBe(1);
});
