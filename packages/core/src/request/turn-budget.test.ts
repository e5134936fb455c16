import { expect, test } from "vitest";
import { SystemClock } from "../coroutine/system-clock.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { openDisk } from "../fixture/lab.ts";
import { SAME_TURN, TurnBudget } from "./turn-budget.ts";

class CountingClock extends SystemClock {
  yields = 0;

  override yield(): Promise<void> {
    this.yields++;
    return super.yield();
  }
}

test("every 128th completion takes a turn of the event loop", () => {
  const clock = new CountingClock();
  const turns = new TurnBudget(clock);
  for (let count = 1; count <= 128 * 3; count++) {
    const answer = turns.spend(512);
    expect(answer === SAME_TURN, `completion ${count}`).toBe(count % 128 !== 0);
  }
  expect(clock.yields).toBe(3);
});

test("so does every MiB", () => {
  const clock = new CountingClock();
  const turns = new TurnBudget(clock);
  for (let count = 1; count <= 8; count++) void turns.spend(256 * 1024);
  expect(clock.yields).toBe(2);
  void turns.spend(5 * 1024 * 1024);
  expect(clock.yields).toBe(3);
});

test("reads that complete at once let timers run", async () => {
  const clock = new CountingClock();
  const node = await openDisk(new LabDisk(4096), { clock });
  let reads = 0;
  let readsBeforeTimer = 0;
  setImmediate(() => (readsBeforeTimer = reads));
  for (; reads < 1000; reads++) await node.read(0, new Uint8Array(1));
  expect(readsBeforeTimer).toBeLessThanOrEqual(128);
  expect(readsBeforeTimer).toBeGreaterThan(0);
  expect(clock.yields).toBe(Math.floor(1000 / 128));
});

test("so do writes, zeros and status", async () => {
  const clock = new CountingClock();
  const node = await openDisk(new LabDisk(4096), { clock });
  for (let count = 0; count < 128; count++) await node.write(0, new Uint8Array(1));
  expect(clock.yields).toBe(1);
  const image = {
    async [Symbol.asyncDispose]() {},
    size: 1000,
    limits: { requestAlignment: 1 },
    read() {},
    status: (offset: number) => ({ kind: offset % 2 === 0 ? "data" : "zero", length: 1 }) as const,
  };
  const runs = await openDisk(image, { readOnly: true, clock });
  let extents = 0;
  for await (const _extent of runs.extents()) extents++;
  expect([extents, clock.yields]).toEqual([1000, 1 + Math.floor(1000 / 128)]);
});
