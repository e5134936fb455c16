import { describe, expect, test } from "vitest";

import { SimulatedClock } from "./simulated-clock.ts";
import { CoSleep } from "./sleep.ts";

describe("SimulatedClock", () => {
  test("stands still until it is moved", async () => {
    const clock = new SimulatedClock({ startMs: 100 });
    expect(clock.now()).toBe(100);
    await clock.advance(5);
    await clock.advanceTo(106.5);
    expect(clock.now()).toBe(106.5);
    await expect(clock.advanceTo(106)).rejects.toThrow(/goes back/);
  });

  test("fires timers in the order of time, then of insertion", async () => {
    const clock = new SimulatedClock();
    const log: string[] = [];
    for (const [name, atMs] of [
      ["c", 3],
      ["a1", 1],
      ["b", 2],
      ["a2", 1],
      ["later", 9],
    ] as const) {
      clock.schedule(atMs, () => log.push(`${name}@${clock.now()}`));
    }
    await clock.advance(3);
    expect(log).toEqual(["a1@1", "a2@1", "b@2", "c@3"]);
    expect(clock.now()).toBe(3);
    expect(clock.timerCount).toBe(1);
  });

  test("lets coroutines run between two timers of one time", async () => {
    const clock = new SimulatedClock();
    const log: string[] = [];
    async function chain(name: string): Promise<void> {
      for (let step = 0; step < 50; step++) await Promise.resolve();
      log.push(name);
    }
    clock.schedule(1, () => void chain("first"));
    clock.schedule(1, () => log.push("second"));
    await clock.advance(1);
    expect(log).toEqual(["first", "second"]);
  });

  test("fires what is made on the way, at its time", async () => {
    const clock = new SimulatedClock();
    const log: number[] = [];
    const tick = (): void => {
      log.push(clock.now());
      clock.schedule(10, tick);
    };
    clock.schedule(10, tick);
    await clock.advance(35);
    expect(log).toEqual([10, 20, 30]);
    expect(clock.now()).toBe(35);
  });

  test("a timer that was cancelled does not fire", async () => {
    const clock = new SimulatedClock();
    const timer = clock.schedule(1, () => expect.unreachable());
    clock.schedule(1, () => timer[Symbol.dispose]());
    timer[Symbol.dispose]();
    timer[Symbol.dispose]();
    await clock.advance(1);
    expect(clock.timerCount).toBe(0);
  });

  test("runUntilIdle lets time pass until nothing sleeps", async () => {
    const clock = new SimulatedClock();
    const bed = new CoSleep();
    const log: number[] = [];
    const coroutine = (async () => {
      for (const durationMs of [5, 100, 20]) {
        await bed.sleep(clock, durationMs);
        log.push(clock.now());
      }
    })();
    await clock.runUntilIdle();
    await coroutine;
    expect(log).toEqual([5, 105, 125]);
  });

  test("runUntilIdle does not wait for background timers, but fires those that come due", async () => {
    const clock = new SimulatedClock();
    const log: number[] = [];
    const clean = (): void => {
      log.push(clock.now());
      clock.schedule(10, clean, { background: true });
    };
    clock.schedule(10, clean, { background: true });
    clock.schedule(25, () => {});
    clock.schedule(Infinity, () => {});
    await clock.runUntilIdle();
    expect(log).toEqual([10, 20]);
    expect(clock.now()).toBe(25);
  });

  test("runUntilIdle sees coroutines that sleep forever", async () => {
    const clock = new SimulatedClock();
    const again = (): void => void clock.schedule(1, again);
    again();
    await expect(clock.runUntilIdle({ maxTimers: 50 })).rejects.toThrow(/50 timers fired/);
    expect(clock.now()).toBe(50);
  });

  test("throws what a timer throws, and can be moved on", async () => {
    const clock = new SimulatedClock();
    clock.schedule(1, () => {
      throw new Error("broken");
    });
    await expect(clock.advance(2)).rejects.toThrow("broken");
    await clock.advance(1);
    expect(clock.now()).toBe(2);
  });

  test("has one mover", async () => {
    const clock = new SimulatedClock();
    const first = clock.advance(1);
    await expect(clock.advance(1)).rejects.toThrow(/two coroutines move/);
    await first;
  });

  test("yield goes on behind what could run, and lets no time pass", async () => {
    const clock = new SimulatedClock();
    const log: string[] = [];
    const other = Promise.resolve().then(() => log.push("other"));
    await clock.yield();
    log.push("yielded");
    await other;
    expect(log).toEqual(["other", "yielded"]);
    expect(clock.now()).toBe(0);
  });
});
