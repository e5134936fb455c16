import { expect, test } from "vitest";

import { SystemClock } from "../coroutine/system-clock.ts";
import { CallQueue } from "./call-queue.ts";

const clock = new SystemClock();

test("runs four at a time, in order, and goes on after a failure", async () => {
  const queue = new CallQueue();
  const begun: number[] = [];
  const ends: { resolve: (result: number) => void; reject: (error: Error) => void }[] = [];
  const calls = Array.from({ length: 7 }, (_, index) =>
    queue.run(() => {
      begun.push(index);
      return new Promise((resolve, reject) => ends.push({ resolve, reject }));
    }),
  );
  const settled = Promise.allSettled(calls);
  await clock.yield();
  expect(begun).toEqual([0, 1, 2, 3]);
  expect(queue.full).toBe(true);
  ends[2]?.resolve(20);
  await clock.yield();
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  ends[0]?.reject(new Error("broken"));
  await clock.yield();
  expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
  for (const end of ends) end.resolve(1);
  await clock.yield();
  for (const end of ends) end.resolve(1);
  const results = await settled;
  expect(results.map((result) => result.status)).toEqual(["rejected", ...Array.from({ length: 6 }, () => "fulfilled")]);
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(queue.full).toBe(false);
});

test("a place that was handed over is free again in the end", async () => {
  const queue = new CallQueue();
  let running = 0;
  let most = 0;
  const call = async (): Promise<number> => {
    most = Math.max(most, ++running);
    await clock.yield();
    running--;
    return 0;
  };
  for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 20 }, () => queue.run(call)));
  expect({ running, most }).toEqual({ running: 0, most: 4 });
});
