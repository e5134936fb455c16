/** A failing schedule comes out as short and plain as it can. */

import { describe, expect, test } from "vitest";
import { SeededRandom } from "../seeded-random.ts";
import type { Schedule } from "./schedule.ts";
import { shrink } from "./shrink.ts";

/** A run that takes all choices and fails where `fails` says so. */
function running(fails: (schedule: Schedule) => boolean): (schedule: Schedule) => Promise<Schedule | undefined> {
  return async (schedule) => (fails(schedule) ? schedule : undefined);
}

describe("what is left of a schedule", () => {
  test("nothing, where the plain one fails as well", async () => {
    expect(
      await shrink(
        [3, 1, 4, 1, 5],
        running(() => true),
      ),
    ).toEqual([]);
  });

  test("the one choice that matters, where it is, and as small as it may be", async () => {
    const fails = running((schedule) => (schedule[3] ?? 0) >= 2);
    expect(await shrink([1, 2, 3, 4, 5, 6, 7], fails)).toEqual([0, 0, 0, 2]);
  });

  test("choices that matter in this order, without what lies between", async () => {
    const fails = running((schedule) => {
      const first = schedule.indexOf(3);
      return first >= 0 && schedule.indexOf(2, first) >= 0;
    });
    expect(await shrink([0, 1, 3, 0, 1, 1, 4, 2, 2, 5], fails)).toEqual([3, 2]);
  });

  test("all of it, where nothing can be left out", async () => {
    const schedule = [1, 1, 1, 1];
    expect(
      await shrink(
        schedule,
        running((candidate) => candidate.join() === schedule.join()),
      ),
    ).toEqual(schedule);
  });

  test("what the run took, where it took less than it was given", async () => {
    const fails = async (schedule: Schedule): Promise<Schedule | undefined> => (schedule.includes(7) ? [0, 7] : undefined);
    expect(await shrink([7, 7, 7, 7, 7, 7], fails)).toEqual([7]);
  });
});

test("what comes out fails still, and not if any one of its choices is left out or lowered", async () => {
  const random = new SeededRandom(5);
  let shrunk = 0;
  for (let round = 0; round < 200; round++) {
    const schedule = Array.from({ length: random.below(30) }, () => random.below(4));
    const wanted = random.below(12);
    const fails = (candidate: Schedule): boolean => candidate.reduce((sum, choice) => sum + choice, 0) >= wanted;
    if (!fails(schedule)) continue;
    shrunk++;
    const short = await shrink(schedule, running(fails));
    expect(fails(short)).toBe(true);
    expect(short.length).toBeLessThanOrEqual(schedule.length);
    for (const [index, choice] of short.entries()) {
      expect(fails(short.toSpliced(index, 1))).toBe(false);
      expect(fails(short.with(index, choice - 1))).toBe(false);
    }
  }
  expect(shrunk).toBeGreaterThan(100);
});

test("a run that never fails again leaves the schedule, and the effort has a limit", async () => {
  const schedule = Array.from({ length: 2000 }, (_, index) => 1 + (index % 3));
  let runs = 0;
  const never = async (): Promise<undefined> => {
    runs++;
    return undefined;
  };
  expect(await shrink(schedule, never)).toEqual(schedule);
  expect(runs).toBeLessThanOrEqual(600);
});
