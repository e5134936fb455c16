import { SimulatedClock } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { formatDuration, ProgressBar } from "./progress-bar.ts";
import { Screen } from "./screen.ts";

const MIB = 1024 * 1024;

function rig(columns: number = 80, env: Readonly<Record<string, string>> = { NO_COLOR: "1" }) {
  const written: string[] = [];
  const stream = { write: (text: string) => written.push(text), isTTY: true, columns };
  const clock = new SimulatedClock();
  const bar = new ProgressBar(clock, stream, new Screen(stream, env, true));
  return { bar, clock, stream, written, last: () => written.at(-1) ?? "" };
}

describe("the bar", () => {
  it("shows up when work is long, moves ten times a second, and goes away", async () => {
    const { bar, clock, written, last } = rig();
    bar.update(1, 4096);
    expect(written).toEqual([]);
    await clock.advance(1000);
    bar.update(500 * MIB, 2000 * MIB);
    bar.update(501 * MIB, 2000 * MIB);
    expect(written).toEqual(["\r 25.0 % [██████▌                   ] 500 MiB of 1.95 GiB, 500 MiB/s, 3 s left\u001b[K"]);
    await clock.advance(100);
    bar.update(550 * MIB, 2000 * MIB);
    expect(last()).toContain(" 27.5 % [");
    bar.stop();
    expect(last()).toBe("\r\u001b[K");
    await clock.advance(1000);
    bar.update(2000 * MIB, 4000 * MIB);
    bar.stop();
    expect(written).toHaveLength(3);
  });

  it("tells a rate that moves smoothly, and that nothing moves", async () => {
    const { bar, clock, last } = rig();
    const rates: number[] = [];
    for (let step = 1, done = 0; step <= 100; step++) {
      await clock.advance(100);
      // Bursts: nothing, then twice as much.
      if (step % 2 === 0) done += 100 * MIB;
      bar.update(done, 1e6 * MIB);
      const rate = /, ([\d.]+) MiB\/s/.exec(last())?.[1];
      if (step > 50 && rate !== undefined) rates.push(Number(rate));
    }
    expect(Math.min(...rates)).toBeGreaterThan(450);
    expect(rates).toHaveLength(rates.filter((rate) => rate < 550).length);
    const stalled = rig();
    await stalled.clock.advance(1000);
    stalled.bar.update(0, MIB);
    expect(stalled.last()).toContain("0 B of 1 MiB, waiting\u001b[K");
  });

  it.each([20, 30, 40, 50, 60, 80, 200])("fits into %d columns, with room for an echo behind it", async (columns) => {
    const { bar, clock, last } = rig(columns);
    await clock.advance(1000);
    bar.update(123_456_789, 987_654_321_000);
    const text = last().replace("\r", "").replace("\u001b[K", "");
    expect(text.length).toBeLessThan(columns - 2);
    expect(text).toMatch(/^ {2}0\.0 %/);
  });

  it("takes away all lines that a narrower terminal made of it", async () => {
    const { bar, clock, stream, last } = rig(80);
    await clock.advance(1000);
    bar.update(1, 2);
    stream.columns = 30;
    await clock.advance(100);
    bar.update(1, 2);
    expect(last()).toMatch(/^\r\u001b\[2A\u001b\[J 50\.0 %/);
  });

  it("makes room for other words, and comes back", async () => {
    const { bar, clock, written } = rig();
    await clock.advance(1000);
    bar.update(1, 2);
    bar.clear();
    bar.clear();
    expect(written.slice(1)).toEqual(["\r\u001b[K"]);
    await clock.advance(100);
    bar.update(1, 2);
    expect(written).toHaveLength(3);
  });

  it("is plain where the locale is, and coloured where colours are", async () => {
    const plain = rig(60, { NO_COLOR: "1", LANG: "C" });
    await plain.clock.advance(1000);
    plain.bar.update(1, 2);
    expect(plain.last()).toMatch(/\[#+-+\]/);
    const coloured = rig(60, {});
    await coloured.clock.advance(1000);
    coloured.bar.update(1, 2);
    expect(coloured.last()).toMatch(/\[\u001b\[38;5;32m█+.?\u001b\[0m +\]/);
  });
});

it.each([
  [0.2, "1 s"],
  [59, "59 s"],
  [61, "1 min 1 s"],
  [3600, "1 h 0 min"],
  [100 * 3600, "4 days"],
])("%d seconds are %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
