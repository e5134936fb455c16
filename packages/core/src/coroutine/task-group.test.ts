import { describe, expect, test } from "vitest";

import { CoQueue } from "./queue.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { TaskGroup } from "./task-group.ts";

/** Every microtask that is due has run. */
async function settle(): Promise<void> {
  await new SimulatedClock().advance(0);
}

/** Rejects when the signal aborts. */
function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
}

describe("TaskGroup", () => {
  test("close waits for every task, also for those that tasks spawn", async () => {
    const group = new TaskGroup();
    const log: string[] = [];
    await group.spawn(async () => {
      await settle();
      log.push("parent");
      await group.spawn(async () => {
        await settle();
        log.push("child");
      });
    });
    await group.close();
    expect(log).toEqual(["parent", "child"]);
    await expect(group.spawn(async () => {})).rejects.toThrow(/closed group/);
  });

  test("close waits for a task that is spawned as the last one ends", async () => {
    for (let hops = 0; hops < 10; hops++) {
      const group = new TaskGroup();
      let running = 0;
      let ended = false;
      async function task(): Promise<void> {
        running++;
        for (let hop = 0; hop < 20; hop++) await Promise.resolve();
        running--;
        ended = true;
      }
      async function spawnAfterwards(): Promise<void> {
        while (!ended) await Promise.resolve();
        for (let hop = 0; hop < hops; hop++) await Promise.resolve();
        await group.spawn(task).catch((error: unknown) => expect(String(error)).toMatch(/closed group/));
      }
      await group.spawn(task);
      const closing = group.close().then(() => expect(running).toBe(0));
      await Promise.all([spawnAfterwards(), closing]);
    }
  });

  test("starts a task within the call where there is room", async () => {
    const group = new TaskGroup();
    let started = false;
    const spawning = group.spawn(async () => {
      started = true;
    });
    expect(started).toBe(true);
    expect(await spawning).toBe(true);
    await group.close();
  });

  test("a limit makes spawners wait, first come first served", async () => {
    const group = new TaskGroup({ limit: 2 });
    const gate = new CoQueue();
    const log: number[] = [];
    let running = 0;
    let most = 0;
    const spawns = Array.from({ length: 7 }, (_, index) =>
      group.spawn(async () => {
        log.push(index);
        most = Math.max(most, ++running);
        await gate.waitUnlocked();
        running--;
      }),
    );
    await settle();
    expect(log).toEqual([0, 1]);
    while (log.length < 7 || running > 0) {
      gate.wakeOne();
      await settle();
    }
    expect(await Promise.all(spawns)).toEqual(Array.from({ length: 7 }, () => true));
    expect(log).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(most).toBe(2);
    await group.close();
  });

  test("the first failure aborts the siblings, starts no more, and is thrown by close", async () => {
    const group = new TaskGroup({ limit: 2 });
    const failure = new Error("disk on fire");
    const seen: unknown[] = [];
    await group.spawn((signal) => untilAborted(signal).catch((error: unknown) => void seen.push(error)));
    await group.spawn(async () => {
      await Promise.resolve();
      throw failure;
    });
    expect(await group.spawn(async () => expect.unreachable())).toBe(false);
    expect(group.signal.aborted).toBe(true);
    await expect(group.close()).rejects.toBe(failure);
    expect(seen).toEqual([failure]);
    expect(await group.spawn(async () => {}).catch(String)).toMatch(/closed/);
  });

  test("keeps the failures that follow", async () => {
    const group = new TaskGroup();
    const [first, second] = [new Error("first"), new Error("second")];
    await group.spawn(async (signal) => {
      await untilAborted(signal).catch(() => {
        throw second;
      });
    });
    await group.spawn(() => {
      throw first;
    });
    await expect(group.close()).rejects.toBe(first);
    expect(group.errors).toEqual([first, second]);
  });

  test("close throws once, later calls only wait", async () => {
    const group = new TaskGroup();
    await group.spawn(async () => {
      throw new Error("broken");
    });
    await expect(group.close()).rejects.toThrow("broken");
    await group.close();
    await group[Symbol.asyncDispose]();
  });

  test("a scope ends with its tasks", async () => {
    let ended = false;
    {
      await using group = new TaskGroup();
      await group.spawn(async () => {
        await settle();
        ended = true;
      });
    }
    expect(ended).toBe(true);
  });

  test("the caller's signal cancels it, and is let go by close", async () => {
    const controller = new AbortController();
    const group = new TaskGroup({ signal: controller.signal, limit: 1 });
    await group.spawn(untilAborted);
    const waiting = group.spawn(async () => expect.unreachable());
    controller.abort("enough");
    expect(await waiting).toBe(false);
    await expect(group.close()).rejects.toBe("enough");

    const other = new AbortController();
    const quiet = new TaskGroup({ signal: other.signal });
    await quiet.close();
    other.abort("late");
    expect(quiet.signal.aborted).toBe(false);
  });

  test("a signal that has aborted lets nothing start", async () => {
    const group = new TaskGroup({ signal: AbortSignal.abort("before") });
    expect(await group.spawn(async () => expect.unreachable())).toBe(false);
    await expect(group.close()).rejects.toBe("before");
  });

  test("room that was handed to a spawner as the group is cancelled is not lost", async () => {
    const group = new TaskGroup({ limit: 1 });
    const gate = new CoQueue();
    await group.spawn(() => gate.waitUnlocked());
    const spawns = [group.spawn(async () => expect.unreachable()), group.spawn(async () => expect.unreachable())];
    const cancelled = gate.waitUnlocked().then(() => group.cancel("enough"));
    gate.wakeAll();
    await cancelled;
    expect(await Promise.all(spawns)).toEqual([false, false]);
    await expect(group.close()).rejects.toBe("enough");
  });

  test("needs room for one", () => {
    expect(() => new TaskGroup({ limit: 0 })).toThrow(/room for 0/);
    expect(() => new TaskGroup({ limit: Number.NaN })).toThrow(/room for NaN/);
  });
});
