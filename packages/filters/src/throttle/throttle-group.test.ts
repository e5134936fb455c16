import { SimulatedClock } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { limitsOf } from "./limits.ts";
import { ThrottleGroup } from "./throttle-group.ts";

function group(clock: SimulatedClock, options: Readonly<Record<string, number>>): ThrottleGroup {
  return new ThrottleGroup("g", limitsOf(new Map(Object.entries(options))), clock);
}

/** Milliseconds at which requests of that many bytes pass, one after the other. */
async function times(
  options: Readonly<Record<string, number>>,
  lengths: readonly number[],
  kind: "read" | "write" = "read",
): Promise<number[]> {
  const clock = new SimulatedClock();
  const throttle = group(clock, options);
  const passed: number[] = [];
  const all = (async () => {
    for (const length of lengths) {
      await throttle.pass(kind, length);
      passed.push(Math.round(clock.now()));
    }
  })();
  await clock.advance(60_000);
  await all;
  return passed;
}

describe("a group", () => {
  it("lets a request pass whole, and makes the next one wait for what is over a tenth of a second", async () => {
    expect(await times({ "x-bps-total": 1000 }, [2000, 100, 100])).toEqual([0, 1900, 2000]);
  });

  it("counts operations, by their size where one is given", async () => {
    expect(await times({ "x-iops-total": 10 }, [1, 1, 1, 1])).toEqual([0, 0, 100, 200]);
    expect(await times({ "x-iops-total": 10, "x-iops-size": 512 }, [5120, 1])).toEqual([0, 900]);
  });

  it("lets a burst pass", async () => {
    expect(await times({ "x-bps-total": 1000, "x-bps-total-max": 5000 }, [5000, 1, 1000])).toEqual([0, 0, 1]);
  });

  it("limits reads alone, or writes alone", async () => {
    expect(await times({ "x-bps-read": 1 }, [100, 100], "write")).toEqual([0, 0]);
    expect(await times({ "x-bps-write": 1000 }, [1000, 1], "write")).toEqual([0, 900]);
  });

  it("stops waiting when it is told to", async () => {
    const throttle = group(new SimulatedClock(), { "x-bps-total": 1 });
    await throttle.pass("read", 1000);
    await expect(throttle.pass("read", 1, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });
});

describe("limits", () => {
  it.each([
    [{ "x-bps-total": 1, "x-bps-read": 1 }, "cannot be used at the same time"],
    [{ "x-bps-total-max": 1 }, "require corresponding"],
    [{ "x-bps-total": 2, "x-bps-total-max": 1 }, "cannot be lower"],
    [{ nonsense: 1 }, "Parameter 'nonsense' is unexpected"],
  ])("%j are refused", (options, message) => expect(() => limitsOf(new Map(Object.entries(options)))).toThrow(message));
});
