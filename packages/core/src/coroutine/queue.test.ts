import { describe, expect, test } from "vitest";

import { Guarded } from "./guarded.ts";
import { CoMutex } from "./mutex.ts";
import { CoQueue } from "./queue.ts";
import { CoRwLock } from "./rw-lock.ts";
import { SimulatedClock } from "./simulated-clock.ts";

/** Every microtask that is due has run. */
async function settle(): Promise<void> {
  await new SimulatedClock().advance(0);
}

describe("CoQueue.wait", () => {
  test("lets the lock go, and has it again when it returns", async () => {
    const mutex = new CoMutex("lock");
    const queue = new CoQueue();
    const held = await mutex.lock({ who: "sleeper" });
    const waiting = queue.wait(held);
    expect(held.released).toBe(true);
    expect(mutex.locked).toBe(false);
    expect(queue.length).toBe(1);
    queue.wakeOne();
    await waiting;
    expect(held.released).toBe(false);
    expect(mutex.inspect().holders).toEqual([{ who: "sleeper", heldMs: 0 }]);
    held[Symbol.dispose]();
    expect(mutex.locked).toBe(false);
  });

  test("is in the queue before anyone else has the lock (hazard B3)", async () => {
    const mutex = new CoMutex("lock");
    const queue = new CoQueue();
    let ready = false;
    let seen = 0;
    async function consume(): Promise<void> {
      using held = await mutex.lock();
      while (!ready) await queue.wait(held);
      seen++;
    }
    async function produce(): Promise<void> {
      using _held = await mutex.lock();
      ready = true;
      expect(queue.wakeOne()).toBe(true);
    }
    await Promise.all([consume(), produce()]);
    expect(seen).toBe(1);
  });

  test("a guarded value is out of reach while its owner sleeps", async () => {
    const guarded = new Guarded("state", { count: 1 });
    const queue = new CoQueue();
    using state = await guarded.lock();
    const waiting = queue.wait(state);
    expect(() => state.value).toThrow(/while the lock is asleep/);
    queue.wakeAll();
    await waiting;
    expect(state.value.count).toBe(1);
  });

  test("waits for the lock behind those who came before", async () => {
    const mutex = new CoMutex("lock");
    const queue = new CoQueue();
    const log: string[] = [];
    const sleeper = (async () => {
      using held = await mutex.lock();
      await queue.wait(held);
      log.push("woken");
    })();
    await settle();
    const waker = await mutex.lock();
    const other = mutex.lock().then((held) => {
      log.push("other");
      held[Symbol.dispose]();
    });
    queue.wakeOne();
    await settle();
    expect(log).toEqual([]);
    waker[Symbol.dispose]();
    await Promise.all([sleeper, other]);
    expect(log).toEqual(["other", "woken"]);
  });

  test("never resumes inside the waker", async () => {
    const queue = new CoQueue();
    const log: string[] = [];
    const waiting = queue.waitUnlocked().then(() => log.push("woken"));
    queue.wakeOne();
    log.push("waker goes on");
    await waiting;
    expect(log).toEqual(["waker goes on", "woken"]);
  });

  test("refuses what is not a held mutex", async () => {
    const mutex = new CoMutex("lock");
    const queue = new CoQueue("room");
    const released = await mutex.lock();
    released[Symbol.dispose]();
    await expect(queue.wait(released)).rejects.toThrow(/queue "room" is waited in with lock "lock" released/);
    using reader = await new CoRwLock("graph").read();
    await expect(queue.wait(reader)).rejects.toThrow(/not a held mutex/);
    const section = mutex.runSync((held) => ({ waiting: queue.wait(held) }));
    await expect(section?.value.waiting).rejects.toThrow(/lock "lock" section, not held/);
    expect(queue.empty).toBe(true);
  });

  test("a hold that is released while its owner sleeps is a bug, and says so", async () => {
    const mutex = new CoMutex("lock");
    const queue = new CoQueue();
    const held = await mutex.lock();
    const waiting = queue.wait(held);
    expect(() => held[Symbol.dispose]()).toThrow(/a wait was not awaited/);
    queue.wakeOne();
    await waiting;
    held[Symbol.dispose]();
    expect(mutex.locked).toBe(false);
  });
});

describe("CoQueue and signals", () => {
  test("refuses one that has aborted, without letting the lock go", async () => {
    const mutex = new CoMutex("lock");
    const queue = new CoQueue();
    using held = await mutex.lock();
    const waiting = queue.wait(held, { signal: AbortSignal.abort("gone") });
    expect(held.released).toBe(false);
    await expect(waiting).rejects.toBe("gone");
    expect(queue.empty).toBe(true);
    await expect(queue.waitUnlocked({ signal: AbortSignal.abort("gone") })).rejects.toBe("gone");
  });

  test("holds the lock again when it rejects", async () => {
    const mutex = new CoMutex("lock");
    const queue = new CoQueue();
    const controller = new AbortController();
    const held = await mutex.lock();
    const waiting = queue.wait(held, { signal: controller.signal });
    const other = await mutex.lock();
    controller.abort("gone");
    let rejected = false;
    const outcome = waiting.catch((error: unknown) => {
      rejected = true;
      return error;
    });
    await settle();
    expect(rejected).toBe(false);
    other[Symbol.dispose]();
    expect(await outcome).toBe("gone");
    expect(held.released).toBe(false);
    held[Symbol.dispose]();
    expect(mutex.locked).toBe(false);
  });

  test("a wake passes by who has aborted", async () => {
    const queue = new CoQueue();
    const controller = new AbortController();
    const log: string[] = [];
    const first = queue.waitUnlocked({ signal: controller.signal });
    const second = queue.waitUnlocked().then(() => log.push("second"));
    controller.abort("gone");
    expect(queue.wakeOne()).toBe(true);
    await expect(first).rejects.toBe("gone");
    await second;
    expect(log).toEqual(["second"]);
    expect(queue.wakeOne()).toBe(false);
  });

  test("who was woken stays woken, also if the signal aborts before it runs", async () => {
    const queue = new CoQueue();
    const controller = new AbortController();
    const waiting = queue.waitUnlocked({ signal: controller.signal });
    expect(queue.wakeOne()).toBe(true);
    controller.abort("late");
    await expect(waiting).resolves.toBeUndefined();
  });
});

describe("CoQueue.wakeOne and wakeAll", () => {
  test("wake in the order of arrival", async () => {
    const queue = new CoQueue();
    const log: number[] = [];
    const waits = [0, 1, 2, 3].map((index) => queue.waitUnlocked().then(() => log.push(index)));
    expect(queue.wakeOne()).toBe(true);
    await settle();
    expect(log).toEqual([0]);
    expect(queue.wakeAll()).toBe(3);
    await Promise.all(waits);
    expect(log).toEqual([0, 1, 2, 3]);
    expect(queue.wakeAll()).toBe(0);
    expect(queue.wakeOne()).toBe(false);
  });

  test("wakeAll leaves those alone who come back to wait", async () => {
    const mutex = new CoMutex("lock");
    const queue = new CoQueue();
    let rounds = 0;
    const waiter = (async () => {
      using held = await mutex.lock();
      while (rounds < 2) {
        await queue.wait(held);
        rounds++;
      }
    })();
    await settle();
    queue.wakeAll();
    await settle();
    expect(rounds).toBe(1);
    expect(queue.length).toBe(1);
    queue.wakeAll();
    await waiter;
  });

  test("inspect says who waits", async () => {
    const clock = new SimulatedClock();
    const queue = new CoQueue("allocations", clock);
    const waiting = queue.waitUnlocked({ who: "write 0x1000+4096" });
    await clock.advance(9);
    expect(queue.inspect()).toEqual({ name: "allocations", holders: [], waiters: [{ who: "write 0x1000+4096", waitedMs: 9 }] });
    queue.wakeAll();
    await waiting;
  });
});
