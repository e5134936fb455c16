import { describe, expect, test } from "vitest";

import type { Held } from "./held.ts";
import { CoRwLock } from "./rw-lock.ts";
import { SimulatedClock } from "./simulated-clock.ts";

/** Asks for the lock and notes the moment when it is granted. */
function ask(lock: CoRwLock, mode: "read" | "write", name: string, log: string[], signal?: AbortSignal): Promise<Held> {
  return lock[mode]({ who: name, signal }).then((held) => {
    log.push(name);
    return held;
  });
}

/** Every microtask that is due has run. */
async function settle(): Promise<void> {
  await new SimulatedClock().advance(0);
}

describe("CoRwLock", () => {
  test("readers share, a writer is alone", async () => {
    const lock = new CoRwLock("graph");
    const first = await lock.read();
    const second = await lock.read();
    const log: string[] = [];
    const writing = ask(lock, "write", "w", log);
    first[Symbol.dispose]();
    await settle();
    expect(log).toEqual([]);
    second[Symbol.dispose]();
    const writer = await writing;
    const reading = ask(lock, "read", "r", log);
    const next = ask(lock, "write", "w2", log);
    await settle();
    expect(log).toEqual(["w"]);
    writer[Symbol.dispose]();
    (await reading)[Symbol.dispose]();
    (await next)[Symbol.dispose]();
    expect(log).toEqual(["w", "r", "w2"]);
    expect(lock.locked).toBe(false);
  });

  test("a waiting writer holds back later readers, and a run of readers goes in together", async () => {
    const lock = new CoRwLock("graph");
    const log: string[] = [];
    const reader = await lock.read();
    const w1 = ask(lock, "write", "w1", log);
    const r1 = ask(lock, "read", "r1", log);
    const r2 = ask(lock, "read", "r2", log);
    const w2 = ask(lock, "write", "w2", log);
    const r3 = ask(lock, "read", "r3", log);
    await settle();
    expect(log).toEqual([]);
    reader[Symbol.dispose]();
    (await w1)[Symbol.dispose]();
    const readers = [await r1, await r2];
    await settle();
    expect(log).toEqual(["w1", "r1", "r2"]);
    for (const held of readers) held[Symbol.dispose]();
    (await w2)[Symbol.dispose]();
    (await r3)[Symbol.dispose]();
    expect(log).toEqual(["w1", "r1", "r2", "w2", "r3"]);
  });

  test("a release and a request in one turn do not let the newcomer overtake", async () => {
    const lock = new CoRwLock("graph");
    const log: string[] = [];
    const writer = await lock.write();
    const waiting = ask(lock, "write", "waiting", log);
    writer[Symbol.dispose]();
    const newcomer = ask(lock, "read", "newcomer", log);
    await settle();
    expect(log).toEqual(["waiting"]);
    (await waiting)[Symbol.dispose]();
    (await newcomer)[Symbol.dispose]();
  });

  test("a second dispose does nothing", async () => {
    const lock = new CoRwLock("graph");
    const first = await lock.write();
    first[Symbol.dispose]();
    const second = await lock.write();
    first[Symbol.dispose]();
    expect(first.released).toBe(true);
    expect(second.released).toBe(false);
    expect(lock.locked).toBe(true);
  });

  test("refuses a signal that has aborted, without queueing", async () => {
    const lock = new CoRwLock("graph");
    await expect(lock.write({ signal: AbortSignal.abort("gone") })).rejects.toBe("gone");
    await expect(lock.read({ signal: AbortSignal.abort("gone") })).rejects.toBe("gone");
    expect(lock.locked).toBe(false);
  });

  test("a writer that gives up lets the readers behind it join those inside", async () => {
    const lock = new CoRwLock("graph");
    const log: string[] = [];
    const controller = new AbortController();
    const inside = await lock.read();
    const writer = ask(lock, "write", "w", log, controller.signal);
    const r1 = ask(lock, "read", "r1", log);
    const r2 = ask(lock, "read", "r2", log);
    const w2 = ask(lock, "write", "w2", log);
    controller.abort("gone");
    await expect(writer).rejects.toBe("gone");
    const readers = [await r1, await r2];
    expect(log).toEqual(["r1", "r2"]);
    for (const held of [inside, ...readers]) held[Symbol.dispose]();
    (await w2)[Symbol.dispose]();
    expect(lock.locked).toBe(false);
  });

  test("an abort that comes after the grant changes nothing", async () => {
    const lock = new CoRwLock("graph");
    const controller = new AbortController();
    const inside = await lock.read();
    const writing = lock.write({ signal: controller.signal });
    inside[Symbol.dispose]();
    controller.abort();
    const writer = await writing;
    expect(writer.released).toBe(false);
    writer[Symbol.dispose]();
    expect(lock.locked).toBe(false);
  });

  test("inspect says who holds and who waits", async () => {
    const clock = new SimulatedClock();
    const lock = new CoRwLock("graph", clock);
    const reader = await lock.read({ who: "map" });
    await clock.advance(3);
    const writing = lock.write({ who: "replace" });
    await clock.advance(4);
    expect(lock.inspect()).toEqual({
      name: "graph",
      holders: [{ who: "map (read)", heldMs: 7 }],
      waiters: [{ who: "replace (write)", waitedMs: 4 }],
    });
    reader[Symbol.dispose]();
    expect(lock.inspect().holders).toEqual([{ who: "replace (write)", heldMs: 0 }]);
    (await writing)[Symbol.dispose]();
  });
});
