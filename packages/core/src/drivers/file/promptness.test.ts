import { expect, test } from "vitest";

import { SimulatedClock } from "../../coroutine/simulated-clock.ts";
import { SystemClock } from "../../coroutine/system-clock.ts";
import type { Clock } from "../../coroutine/clock.ts";
import { Promptness } from "./promptness.ts";

/** A clock that a call itself can move. */
class SteppedClock implements Clock {
  nowMs = 0;
  readonly #clock = new SystemClock();

  now(): number {
    return this.nowMs;
  }

  wallTime(): number {
    return this.nowMs;
  }

  schedule(durationMs: number, run: () => void): Disposable {
    return this.#clock.schedule(durationMs, run);
  }

  yield(): Promise<void> {
    return this.#clock.yield();
  }
}

test("quick calls stay on the main thread", () => {
  const promptness = new Promptness(new SimulatedClock());
  for (let call = 0; call < 100; call++) {
    expect(promptness.allows()).toBe(true);
    expect(promptness.run(() => call)).toBe(call);
  }
});

test("after a slow call, also one that failed, the next 64 go elsewhere", () => {
  const clock = new SteppedClock();
  const promptness = new Promptness(clock);
  const slow = (): never => {
    clock.nowMs += 21;
    throw new Error("disk is gone");
  };
  expect(() => promptness.run(slow)).toThrow("disk is gone");
  for (let call = 0; call < 64; call++) expect(promptness.allows()).toBe(false);
  expect(promptness.allows()).toBe(true);
  promptness.run(() => (clock.nowMs += 20));
  expect(promptness.allows()).toBe(true);
});
