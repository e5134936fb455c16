import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, describe, expect, test, vi } from "vitest";

import { SystemClock } from "./system-clock.ts";

describe("SystemClock", () => {
  test("goes forward", () => {
    const clock = new SystemClock();
    const before = clock.now();
    expect(clock.now()).toBeGreaterThanOrEqual(before);
  });

  test("fires a timer once, and none that was cancelled", async () => {
    const clock = new SystemClock();
    const log: string[] = [];
    const cancelled = clock.schedule(0, () => log.push("cancelled"));
    cancelled[Symbol.dispose]();
    await new Promise<void>((resolve) => {
      clock.schedule(1, () => {
        log.push("fired");
        resolve();
      });
    });
    expect(log).toEqual(["fired"]);
  });

  test("refuses a duration that is none", () => {
    const clock = new SystemClock();
    expect(() => clock.schedule(-1, () => {})).toThrow(/a timer of -1 ms/);
    expect(() => clock.schedule(Number.NaN, () => {})).toThrow(/a timer of NaN ms/);
  });

  test("yield takes a turn of the event loop: a socket or timer gets in", async () => {
    const clock = new SystemClock();
    let turned = false;
    setImmediate(() => (turned = true));
    await clock.yield();
    expect(turned).toBe(true);
  });
});

describe("SystemClock with timers longer than Node's", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test("waits for the whole time", () => {
    vi.useFakeTimers();
    let fired = 0;
    const days = 24 * 3600 * 1000;
    new SystemClock().schedule(60 * days, () => fired++);
    vi.advanceTimersByTime(60 * days - 1);
    expect(fired).toBe(0);
    vi.advanceTimersByTime(1);
    expect(fired).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("can be cancelled in its second leg, and waits forever", () => {
    vi.useFakeTimers();
    const clock = new SystemClock();
    const timer = clock.schedule(2 ** 32, () => expect.unreachable());
    const never = clock.schedule(Infinity, () => expect.unreachable());
    vi.advanceTimersByTime(2 ** 31 + 5);
    timer[Symbol.dispose]();
    vi.advanceTimersByTime(2 ** 34);
    expect(vi.getTimerCount()).toBe(1);
    never[Symbol.dispose]();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("SystemClock and the end of the process", () => {
  const source = new URL("./system-clock.ts", import.meta.url).href;
  async function outputOf(options: string): Promise<string> {
    const program = `
      const { SystemClock } = await import(${JSON.stringify(source)});
      new SystemClock().schedule(20, () => console.log("fired"), ${options});
      console.log("made");`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", program]);
    return stdout;
  }

  test("a timer keeps the process alive", async () => {
    expect(await outputOf("{}")).toBe("made\nfired\n");
  });

  test("a background timer does not", async () => {
    expect(await outputOf("{ background: true }")).toBe("made\n");
  });
});
