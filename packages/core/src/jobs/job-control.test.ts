import { describe, expect, test } from "vitest";
import { SimulatedClock } from "../coroutine/simulated-clock.ts";
import { JobControl } from "./job-control.ts";

/** Moves pieces of 100 bytes; answers when each was let go. */
async function moved(control: JobControl, clock: SimulatedClock, pieces: number, signal?: AbortSignal): Promise<number[]> {
  const times: number[] = [];
  for (let piece = 0; piece < pieces; piece++) {
    await control.admit(100, { signal });
    times.push(clock.now());
  }
  return times;
}

describe("the rate of a job", () => {
  test("lets so many bytes a second go, the first at once", async () => {
    const clock = new SimulatedClock();
    const control = new JobControl(clock);
    control.rate = 1000;
    const work = moved(control, clock, 4);
    await clock.runUntilIdle();
    expect(await work).toEqual([0, 100, 200, 300]);
  });

  test("is shared by all pieces in flight", async () => {
    const clock = new SimulatedClock();
    const control = new JobControl(clock);
    control.rate = 1000;
    const workers = [moved(control, clock, 2), moved(control, clock, 2)];
    await clock.runUntilIdle();
    expect((await Promise.all(workers)).flat().sort((a, b) => a - b)).toEqual([0, 100, 200, 300]);
  });

  test("may change on the way, and end the wait of the old one", async () => {
    const clock = new SimulatedClock();
    const control = new JobControl(clock);
    control.rate = 1;
    const work = moved(control, clock, 3);
    await clock.advance(50);
    control.rate = undefined;
    await clock.advance(0);
    expect(await work).toEqual([0, 50, 50]);
  });

  test("is above 0", () => {
    for (const rate of [0, -1, Number.NaN]) {
      expect(() => (new JobControl().rate = rate)).toThrow(`a rate of ${rate} bytes a second is not above 0`);
    }
  });

  test("does not save up what nobody used", async () => {
    const clock = new SimulatedClock();
    const control = new JobControl(clock);
    control.rate = 1000;
    await clock.advance(10_000);
    const work = moved(control, clock, 3);
    await clock.runUntilIdle();
    expect(await work).toEqual([10_000, 10_100, 10_200]);
  });
});

describe("a paused job", () => {
  test("waits until it is told to go on", async () => {
    const clock = new SimulatedClock();
    const control = new JobControl(clock);
    control.pause();
    const work = moved(control, clock, 1);
    await clock.advance(1_000_000);
    expect(control.paused).toBe(true);
    control.resume();
    expect(await work).toEqual([1_000_000]);
  });

  test("ends when it is cancelled", async () => {
    const clock = new SimulatedClock();
    const control = new JobControl(clock);
    const aborter = new AbortController();
    control.pause();
    const work = moved(control, clock, 1, aborter.signal);
    aborter.abort(new Error("enough"));
    await expect(work).rejects.toThrow("enough");
    expect(clock.timerCount).toBe(0);
  });

  test("stays paused when its rate changes", async () => {
    const clock = new SimulatedClock();
    const control = new JobControl(clock);
    control.pause();
    const work = moved(control, clock, 1);
    control.rate = 5;
    await clock.advance(10);
    control.resume();
    await clock.advance(0);
    expect(await work).toEqual([10]);
  });
});
