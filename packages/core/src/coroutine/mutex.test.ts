import { getEventListeners } from "node:events";

import { describe, expect, test } from "vitest";

import { CoMutex } from "./mutex.ts";
import { SimulatedClock } from "./simulated-clock.ts";

describe("CoMutex", () => {
  test("is free, held, and free again", async () => {
    const mutex = new CoMutex("lock");
    expect(mutex.locked).toBe(false);
    const held = await mutex.lock();
    expect(mutex.locked).toBe(true);
    expect(held.released).toBe(false);
    held[Symbol.dispose]();
    expect(mutex.locked).toBe(false);
    expect(held.released).toBe(true);
  });

  test("is taken within the call where it is free", async () => {
    const mutex = new CoMutex("lock");
    const locking = mutex.lock();
    expect(mutex.locked).toBe(true);
    expect(mutex.tryLock()).toBeUndefined();
    (await locking)[Symbol.dispose]();
  });

  test("serves coroutines in the order they came and never two at once", async () => {
    const mutex = new CoMutex("lock");
    const order: number[] = [];
    let inside = 0;
    async function visit(index: number): Promise<void> {
      using _held = await mutex.lock();
      expect(++inside).toBe(1);
      await Promise.resolve();
      order.push(index);
      inside--;
    }
    await Promise.all(Array.from({ length: 20 }, (_, index) => visit(index)));
    expect(order).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  test("hands over: no coroutine gets in between a release and the next in line", async () => {
    const mutex = new CoMutex("lock");
    const first = await mutex.lock();
    const second = mutex.lock();
    first[Symbol.dispose]();
    expect(mutex.locked).toBe(true);
    expect(mutex.tryLock()).toBeUndefined();
    (await second)[Symbol.dispose]();
    expect(mutex.locked).toBe(false);
  });

  test.each(["in line", "at once"])("a section comes before one who is let in %s and has not gone on, never beside it", async (how) => {
    const mutex = new CoMutex("lock");
    const order: string[] = [];
    const first = how === "in line" ? await mutex.lock() : undefined;
    const second = mutex.lock().then((held) => {
      order.push("second");
      expect(mutex.runSync(() => 1)).toBeUndefined();
      return held;
    });
    expect(mutex.runSync(() => 1)).toEqual(first === undefined ? { value: 1 } : undefined);
    first?.[Symbol.dispose]();
    expect(mutex.runSync(() => order.push("section"))).toEqual({ value: 1 });
    (await second)[Symbol.dispose]();
    expect(order).toEqual(["section", "second"]);
    expect(mutex.runSync(() => 2)).toEqual({ value: 2 });
  });

  test("a second dispose does not release another's hold", async () => {
    const mutex = new CoMutex("lock");
    const first = await mutex.lock();
    first[Symbol.dispose]();
    const second = await mutex.lock();
    first[Symbol.dispose]();
    expect(mutex.locked).toBe(true);
    expect(second.released).toBe(false);
  });

  test("tryLock takes a free lock at once, and is one of the holders", async () => {
    const mutex = new CoMutex("lock");
    const held = mutex.tryLock("cleaner");
    expect(held?.released).toBe(false);
    expect(mutex.inspect().holders).toEqual([{ who: "cleaner", heldMs: 0 }]);
    const next = mutex.lock();
    held?.[Symbol.dispose]();
    expect((await next).released).toBe(false);
  });
});

describe("CoMutex and signals", () => {
  test("refuses one that has aborted, without queueing", async () => {
    const mutex = new CoMutex("lock");
    const reason = new Error("gone");
    await expect(mutex.lock({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(mutex.locked).toBe(false);
    expect(mutex.inspect().waiters).toEqual([]);
  });

  test("an aborted waiter rejects at once and those behind it still get their turn", async () => {
    const mutex = new CoMutex("lock");
    const held = await mutex.lock();
    const controller = new AbortController();
    const reason = new Error("gone");
    const aborted = mutex.lock({ signal: controller.signal });
    const behind = mutex.lock();
    controller.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    expect(mutex.inspect().waiters).toHaveLength(1);
    held[Symbol.dispose]();
    (await behind)[Symbol.dispose]();
    expect(mutex.locked).toBe(false);
  });

  test("the ticket of an aborted waiter that is last lets the lock go", async () => {
    const mutex = new CoMutex("lock");
    const held = await mutex.lock();
    const controller = new AbortController();
    const aborted = mutex.lock({ signal: controller.signal });
    controller.abort();
    await expect(aborted).rejects.toThrow(/./);
    held[Symbol.dispose]();
    (await mutex.lock())[Symbol.dispose]();
    expect(mutex.locked).toBe(false);
  });

  test("an abort between the hand-over and the resumption loses no lock", async () => {
    const mutex = new CoMutex("lock");
    const held = await mutex.lock();
    const controller = new AbortController();
    const waiting = mutex.lock({ signal: controller.signal });
    held[Symbol.dispose]();
    controller.abort();
    await expect(waiting).rejects.toThrow(/./);
    (await mutex.lock())[Symbol.dispose]();
    expect(mutex.locked).toBe(false);
  });

  test("leaves no listener behind, whether it was granted or aborted", async () => {
    const mutex = new CoMutex("lock");
    const controller = new AbortController();
    const { signal } = controller;
    const held = await mutex.lock({ signal });
    const waiting = mutex.lock({ signal });
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    held[Symbol.dispose]();
    const second = await waiting;
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
    const aborted = mutex.lock({ signal });
    controller.abort();
    await expect(aborted).rejects.toThrow(/./);
    second[Symbol.dispose]();
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  test("an abort after the grant changes nothing", async () => {
    const mutex = new CoMutex("lock");
    const controller = new AbortController();
    using held = await mutex.lock({ signal: controller.signal });
    controller.abort();
    expect(held.released).toBe(false);
  });
});

describe("CoMutex.runSync", () => {
  test("runs at once, held, and answers the value", () => {
    const mutex = new CoMutex("lock");
    const answer = mutex.runSync((held) => {
      expect(held.released).toBe(false);
      expect(mutex.locked).toBe(true);
      expect(mutex.tryLock()).toBeUndefined();
      return 5;
    });
    expect(answer).toEqual({ value: 5 });
    expect(mutex.locked).toBe(false);
  });

  test("runs nothing where the lock is held", async () => {
    const mutex = new CoMutex("lock");
    using _held = await mutex.lock();
    expect(mutex.runSync(() => expect.unreachable())).toBeUndefined();
  });

  test("the proof is void afterwards, also beside a later section", () => {
    const mutex = new CoMutex("lock");
    const kept = mutex.runSync((held) => held)?.value;
    expect(kept?.released).toBe(true);
    mutex.runSync(() => expect(kept?.released).toBe(true));
    kept?.[Symbol.dispose]();
    expect(mutex.locked).toBe(false);
  });

  test("throws within itself and stays usable", () => {
    const mutex = new CoMutex("lock");
    expect(() => mutex.runSync(() => mutex.runSync(() => 1)?.value)).toThrow(/"lock" is entered from within its own synchronous section/);
    expect(mutex.locked).toBe(false);
    expect(mutex.runSync(() => 1)).toEqual({ value: 1 });
  });

  test("a section that throws lets the lock go", () => {
    const mutex = new CoMutex("lock");
    expect(() =>
      mutex.runSync(() => {
        throw new Error("broken");
      }),
    ).toThrow("broken");
    expect(mutex.locked).toBe(false);
  });

  test("its hold cannot be released from inside", () => {
    const mutex = new CoMutex("lock");
    expect(() => mutex.runSync((held) => held[Symbol.dispose]())).toThrow(/ends by itself/);
    expect(mutex.locked).toBe(false);
  });

  test("a lock that is asked for inside is granted afterwards, before any other coroutine", async () => {
    const mutex = new CoMutex("lock");
    const order: string[] = [];
    const inside = mutex.runSync(() => {
      const locking = mutex.lock({ who: "asked inside" }).then((held) => {
        order.push("granted");
        return held;
      });
      expect(mutex.inspect().waiters).toEqual([{ who: "asked inside", waitedMs: 0 }]);
      order.push("section ends");
      return { locking };
    });
    expect(mutex.locked).toBe(true);
    expect(mutex.tryLock()).toBeUndefined();
    (await inside?.value.locking)?.[Symbol.dispose]();
    expect(order).toEqual(["section ends", "granted"]);
    expect(mutex.locked).toBe(false);
  });
});

describe("CoMutex.inspect", () => {
  test("says who holds and who waits, and for how long", async () => {
    const clock = new SimulatedClock();
    const mutex = new CoMutex("driver lock", clock);
    const first = await mutex.lock({ who: "first" });
    await clock.advance(5);
    const second = mutex.lock({ who: { toString: () => "second" } });
    const third = mutex.lock();
    await clock.advance(2);
    expect(mutex.inspect()).toEqual({
      name: "driver lock",
      holders: [{ who: "first", heldMs: 7 }],
      waiters: [
        { who: "second", waitedMs: 2 },
        { who: "(unnamed)", waitedMs: 2 },
      ],
    });
    first[Symbol.dispose]();
    const held = await second;
    await clock.advance(1);
    expect(mutex.inspect().holders).toEqual([{ who: "second", heldMs: 1 }]);
    held[Symbol.dispose]();
    (await third)[Symbol.dispose]();
    expect(mutex.inspect()).toEqual({ name: "driver lock", holders: [], waiters: [] });
  });

  test("shows a synchronous section", () => {
    const mutex = new CoMutex("lock");
    expect(mutex.runSync(() => mutex.inspect().holders)?.value).toEqual([{ who: "a synchronous section", heldMs: 0 }]);
  });
});
