import { expect, test } from "vitest";
import { deferred } from "../fixture/lab.ts";
import { IdleTask } from "./idle-task.ts";
import { SimulatedClock } from "./simulated-clock.ts";

/** A task that is wanted until it has run. */
function setUp(work: () => Promise<void> = async () => {}): {
  clock: SimulatedClock;
  task: IdleTask;
  state: { wanted: boolean; runs: number[] };
} {
  const clock = new SimulatedClock();
  const state = { wanted: true, runs: [] as number[] };
  const run = async (): Promise<void> => {
    state.runs.push(clock.now());
    await work();
    state.wanted = false;
  };
  return { clock, state, task: new IdleTask({ clock, delayMs: 100, isWanted: () => state.wanted, work: run }) };
}

test("the work begins when nothing has happened for the delay, and once", async () => {
  const { clock, task, state } = setUp();
  task.postpone();
  await clock.advance(60);
  task.postpone();
  await clock.advance(99);
  expect(state.runs).toEqual([]);
  await clock.advance(1);
  expect(state.runs).toEqual([160]);
  expect(clock.timerCount).toBe(0);
  state.wanted = true;
  task.postpone();
  await clock.advance(100);
  expect(state.runs).toEqual([160, 260]);
});

test("nothing waits where the work is not wanted", async () => {
  const { clock, task, state } = setUp();
  state.wanted = false;
  task.postpone();
  expect(clock.timerCount).toBe(0);
});

test("while it is held nothing runs and no timer is left; then the wait goes on", async () => {
  const { clock, task, state } = setUp();
  task.postpone();
  await clock.advance(60);
  const [first, second] = await Promise.all([task.hold(), task.hold()]);
  expect(clock.timerCount).toBe(0);
  task.postpone();
  await clock.advance(500);
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  await clock.advance(500);
  expect(state.runs).toEqual([]);
  await second[Symbol.asyncDispose]();
  await clock.advance(0);
  expect(state.runs).toEqual([1060]);
});

test("holding waits for work that has begun", async () => {
  const { promise, resolve } = deferred();
  const { clock, task, state } = setUp(() => promise);
  task.postpone();
  await clock.advance(100);
  let held = false;
  const holding = task.hold().then(() => (held = true));
  await clock.advance(10);
  expect([state.runs.length, held]).toEqual([1, false]);
  resolve();
  await holding;
  expect(state.wanted).toBe(false);
});
