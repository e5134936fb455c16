import { describe, expect, test } from "vitest";

import { SimulatedClock } from "./simulated-clock.ts";
import { CoSleep } from "./sleep.ts";

describe("CoSleep", () => {
  test("ends when the time is over, not before", async () => {
    const clock = new SimulatedClock();
    let outcome: string | undefined;
    const sleeping = new CoSleep().sleep(clock, 10).then((how) => (outcome = how));
    await clock.advance(9);
    expect(outcome).toBeUndefined();
    await clock.advance(1);
    expect(await sleeping).toBe("elapsed");
  });

  test("wake ends it early and cancels the timer", async () => {
    const clock = new SimulatedClock();
    const bed = new CoSleep();
    const sleeping = bed.sleep(clock, 10);
    bed.wake();
    expect(clock.timerCount).toBe(0);
    expect(await sleeping).toBe("woken");
    expect(clock.now()).toBe(0);
  });

  test("wake with no sleeper does nothing, neither now nor later", async () => {
    const clock = new SimulatedClock();
    const bed = new CoSleep();
    bed.wake();
    const sleeping = bed.sleep(clock, 10);
    await clock.advance(10);
    expect(await sleeping).toBe("elapsed");
    bed.wake();
  });

  test("never resumes inside the waker", async () => {
    const bed = new CoSleep();
    const log: string[] = [];
    const sleeping = bed.sleep(new SimulatedClock(), 10).then(() => log.push("sleeper"));
    bed.wake();
    log.push("waker goes on");
    await sleeping;
    expect(log).toEqual(["waker goes on", "sleeper"]);
  });

  test("an abort rejects and cancels the timer", async () => {
    const clock = new SimulatedClock();
    const bed = new CoSleep();
    const controller = new AbortController();
    const sleeping = bed.sleep(clock, 10, { signal: controller.signal });
    controller.abort("gone");
    expect(clock.timerCount).toBe(0);
    await expect(sleeping).rejects.toBe("gone");
    await expect(bed.sleep(clock, 10, { signal: controller.signal })).rejects.toBe("gone");
    expect(clock.timerCount).toBe(0);
  });

  test("a woken sleeper may be followed by another within the turn", async () => {
    const clock = new SimulatedClock();
    const bed = new CoSleep();
    const first = bed.sleep(clock, 10);
    bed.wake();
    const second = bed.sleep(clock, 20);
    await clock.advance(20);
    expect(await first).toBe("woken");
    expect(await second).toBe("elapsed");
  });

  test("has room for one", async () => {
    const clock = new SimulatedClock();
    const bed = new CoSleep();
    const first = bed.sleep(clock, 10);
    await expect(bed.sleep(clock, 10)).rejects.toThrow(/two coroutines/);
    bed.wake();
    expect(await first).toBe("woken");
  });

  test("a duration that is none leaves the bed free", async () => {
    const clock = new SimulatedClock();
    const bed = new CoSleep();
    await expect(bed.sleep(clock, Number.NaN)).rejects.toThrow(/a timer of NaN ms/);
    const sleeping = bed.sleep(clock, Infinity);
    await clock.advance(1e12);
    bed.wake();
    expect(await sleeping).toBe("woken");
  });
});
