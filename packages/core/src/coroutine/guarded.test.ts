import { describe, expect, test } from "vitest";

import { Guarded } from "./guarded.ts";
import { CoMutex } from "./mutex.ts";

interface Counter {
  count: number;
}

describe("Guarded", () => {
  test("gives its value with the lock", async () => {
    const guarded = new Guarded<Counter>("counter", { count: 1 });
    using counter = await guarded.lock();
    counter.value.count++;
    expect(counter.value.count).toBe(2);
    expect(guarded.locked).toBe(true);
  });

  test("throws where the value is used after the release", async () => {
    const guarded = new Guarded<Counter>("counter", { count: 1 });
    const counter = await guarded.lock();
    counter[Symbol.dispose]();
    expect(() => counter.value).toThrow(/the value behind lock "counter" is used while the lock is released/);
  });

  test("values with one mutex exclude each other", async () => {
    const mutex = new CoMutex("shared");
    const left = new Guarded(mutex, 1);
    const right = new Guarded(mutex, 2);
    expect(left.mutex).toBe(mutex);
    using _held = await left.lock({ who: "left" });
    expect(right.locked).toBe(true);
    expect(right.runSync((value) => value)).toBeUndefined();
    expect(right.inspect().holders).toEqual([{ who: "left", heldMs: 0 }]);
  });

  test("rejects with the signal's reason", async () => {
    const guarded = new Guarded("counter", 1);
    using _held = await guarded.lock();
    const controller = new AbortController();
    const waiting = guarded.lock({ signal: controller.signal });
    controller.abort("enough");
    await expect(waiting).rejects.toBe("enough");
  });
});

describe("Guarded.runSync", () => {
  test("runs at once with the value, held", () => {
    const guarded = new Guarded<Counter>("counter", { count: 1 });
    const answer = guarded.runSync((counter, held) => {
      expect(guarded.locked).toBe(true);
      expect(held.released).toBe(false);
      return ++counter.count;
    });
    expect(answer).toEqual({ value: 2 });
    expect(guarded.locked).toBe(false);
  });

  test("tells an empty answer from one that did not run", async () => {
    const guarded = new Guarded("counter", 1);
    expect(guarded.runSync(() => undefined)).toEqual({ value: undefined });
    using _held = await guarded.lock();
    expect(guarded.runSync(() => undefined)).toBeUndefined();
  });

  test("throws within itself", () => {
    const guarded = new Guarded("counter", 1);
    expect(() => guarded.runSync(() => guarded.runSync(() => 1)?.value)).toThrow(/from within its own/);
    expect(guarded.locked).toBe(false);
  });

  test("a section that throws lets the lock go", () => {
    const guarded = new Guarded("counter", 1);
    expect(() =>
      guarded.runSync(() => {
        throw new Error("broken");
      }),
    ).toThrow("broken");
    expect(guarded.locked).toBe(false);
  });

  test("a section that lets a promise out does not compile, and is caught where types cannot see it", () => {
    const guarded = new Guarded("counter", 1);
    const promise = /a promise leaves a synchronous section of lock "counter"/;
    // @ts-expect-error an async function
    expect(() => guarded.runSync(async () => 1)).toThrow(promise);
    // @ts-expect-error a promise
    expect(() => guarded.runSync((value) => Promise.resolve(value))).toThrow(promise);
    // @ts-expect-error a union with a promise
    expect(() => guarded.runSync((value): Promise<number> | undefined => (value === 1 ? Promise.resolve(1) : undefined))).toThrow(promise);
    // @ts-expect-error `any` may be a promise
    expect(guarded.runSync((value) => JSON.parse(String(value)))).toEqual({ value: 1 });
    // @ts-expect-error the mutex refuses it as well
    expect(() => guarded.mutex.runSync(async () => 1)).toThrow(promise);
    // oxlint-disable-next-line typescript/no-misused-promises -- the mistake that the assertion is for
    const nothing: () => void = async () => {};
    expect(() => guarded.runSync(nothing)).toThrow(promise);
    expect(() => guarded.runSync((): unknown => Promise.resolve())).toThrow(promise);
    expect(guarded.locked).toBe(false);
  });

  test("values, objects, unions and nothing at all compile", () => {
    const guarded = new Guarded("counter", 1);
    expect(guarded.runSync((value) => value)?.value).toBe(1);
    expect(guarded.runSync((value) => ({ kind: "data", value }) as const)?.value.kind).toBe("data");
    expect(guarded.runSync((value): string | undefined => (value === 1 ? "one" : undefined))?.value).toBe("one");
    expect(guarded.runSync(() => {})).toEqual({ value: undefined });
    // A promise inside a value was put there on purpose: the start of I/O leaves a section that way.
    expect(guarded.runSync(() => ({ until: Promise.resolve() }))?.value.until).toBeInstanceOf(Promise);
  });

  test("a guard of something is a guard of what that is", async () => {
    const guarded: Guarded<{ readonly count: number }> = new Guarded<Counter>("counter", { count: 3 });
    using held = await guarded.lock();
    expect(held.value.count).toBe(3);
  });
});
