import { expect, test } from "vitest";
import { deferred, settled, watch } from "../fixture/lab.ts";
import { PieceTasks } from "./piece-tasks.ts";

test("is settled when the last piece has ended, also when an earlier one has failed", async () => {
  const pieces = new PieceTasks();
  const failing = deferred();
  const slow = deferred();
  pieces.start(() => failing.promise);
  pieces.start(() => slow.promise);
  const end = watch(pieces.settled());
  const failure = new Error("the first");
  failing.reject(failure);
  await settled();
  expect(pieces.failed).toBe(true);
  expect(end.state, "a piece is still going on").toBe("pending");
  slow.resolve();
  await settled();
  expect(end).toEqual({ state: "rejected", reason: failure });
});

test("a piece that throws at once, one that rejects, and one that failed elsewhere are alike; the first counts", async () => {
  const pieces = new PieceTasks();
  const first = new Error("the first");
  pieces.start(() => {
    throw first;
  });
  pieces.start(() => Promise.reject(new Error("the second")));
  pieces.fail(new Error("the third"));
  await expect(pieces.settled()).rejects.toBe(first);
});

test("sixteen pieces run at a time", async () => {
  const pieces = new PieceTasks();
  const running = [...Array(16).keys()].map(() => deferred());
  for (const { promise } of running) pieces.start(() => promise);
  const room = watch(pieces.room());
  await settled();
  expect(room.state).toBe("pending");
  running[7]?.resolve();
  await settled();
  expect(room.state).toBe("fulfilled");
  for (const { resolve } of running) resolve();
  await pieces.ended();
});

test("pieces that are done at once take no room", async () => {
  const pieces = new PieceTasks();
  for (let count = 0; count < 100; count++) pieces.start(() => undefined);
  await pieces.room();
  await pieces.settled();
});
