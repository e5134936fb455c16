/** Small programs in many orders: exclusion, fairness, and no lost wake-up whatever the order of steps. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Held } from "./held.ts";
import { CoMutex } from "./mutex.ts";
import { CoQueue } from "./queue.ts";
import { CoRwLock } from "./rw-lock.ts";
import { SimulatedClock } from "./simulated-clock.ts";

/** Always the same programs; raise `numRuns` to look further. */
const runs = { seed: 20, numRuns: 3000 };

/** Lets others run for some microtasks. */
async function hops(count: number): Promise<void> {
  for (let hop = 0; hop < count; hop++) await Promise.resolve();
}

/** Every microtask that is due has run. */
async function settle(): Promise<void> {
  await new SimulatedClock().advance(0);
}

/** A signal that aborts after some microtasks, or never. */
function signalAfter(count: number | undefined): AbortSignal {
  const controller = new AbortController();
  if (count !== undefined) void hops(count).then(() => controller.abort("gave up"));
  return controller.signal;
}

const aFewHops = fc.nat({ max: 5 });
const maybeAbort = fc.option(fc.nat({ max: 12 }), { nil: undefined, freq: 2 });

describe("CoMutex in many orders", () => {
  const visit = fc.record({
    before: aFewHops,
    inside: aFewHops,
    abortAfter: maybeAbort,
    how: fc.constantFrom("lock", "lock", "tryLock", "runSync"),
  });

  test("one coroutine at a time, in the order they came; who gives up hurts nobody", async () => {
    const program = fc.array(fc.array(visit, { maxLength: 4 }), { minLength: 2, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(program, async (coroutines) => {
        const mutex = new CoMutex("lock");
        const asked: number[] = [];
        const granted: number[] = [];
        const gaveUp = new Set<number>();
        let inside = 0;
        let tickets = 0;
        function enter(): void {
          expect(++inside).toBe(1);
          expect(mutex.locked).toBe(true);
        }
        async function run(visits: (typeof coroutines)[number]): Promise<void> {
          for (const { before, inside: insideHops, abortAfter, how } of visits) {
            await hops(before);
            if (how === "runSync") {
              mutex.runSync(() => {
                enter();
                inside--;
              });
              continue;
            }
            let held: Held | undefined;
            if (how === "tryLock") held = mutex.tryLock();
            else {
              const ticket = tickets++;
              const signal = signalAfter(abortAfter);
              asked.push(ticket);
              held = await mutex.lock({ signal }).catch((error: unknown) => {
                expect(error).toBe("gave up");
                gaveUp.add(ticket);
                return undefined;
              });
              if (held !== undefined) granted.push(ticket);
            }
            if (held === undefined) continue;
            enter();
            await hops(insideHops);
            inside--;
            held[Symbol.dispose]();
          }
        }
        let ended = 0;
        for (const visits of coroutines) void run(visits).then(() => ended++);
        await settle();
        expect(ended).toBe(coroutines.length);
        expect(granted).toEqual(asked.filter((ticket) => !gaveUp.has(ticket)));
        expect(mutex.locked).toBe(false);
        expect(mutex.inspect()).toEqual({ name: "lock", holders: [], waiters: [] });
      }),
      runs,
    );
  });
});

describe("CoQueue in many orders (hazard B3)", () => {
  const step = fc.record({ before: aFewHops, abortAfter: maybeAbort, kind: fc.constantFrom("put", "take") });

  test("a bounded buffer: nobody sleeps while there is something to do, nothing is lost or doubled", async () => {
    const program = fc.record({
      capacity: fc.integer({ min: 1, max: 3 }),
      coroutines: fc.array(fc.array(step, { maxLength: 4 }), { minLength: 2, maxLength: 6 }),
    });
    await fc.assert(
      fc.asyncProperty(program, async ({ capacity, coroutines }) => {
        const mutex = new CoMutex("buffer");
        const notEmpty = new CoQueue("not empty");
        const notFull = new CoQueue("not full");
        const buffer: number[] = [];
        const put: number[] = [];
        const taken: number[] = [];
        let inside = 0;

        async function act(kind: "put" | "take", signal: AbortSignal): Promise<void> {
          using held = await mutex.lock({ signal });
          const [queue, other] = kind === "put" ? [notFull, notEmpty] : [notEmpty, notFull];
          while (kind === "put" ? buffer.length === capacity : buffer.length === 0) {
            await queue.wait(held, { signal }).finally(() => expect(held.released).toBe(false));
          }
          expect(++inside).toBe(1);
          await hops(1);
          if (kind === "put") {
            const item = put.length;
            buffer.push(item);
            put.push(item);
          } else taken.push(buffer.shift() ?? -1);
          inside--;
          other.wakeOne();
        }
        async function run(steps: (typeof coroutines)[number]): Promise<void> {
          for (const { before, abortAfter, kind } of steps) {
            await hops(before);
            await act(kind, signalAfter(abortAfter)).catch((error: unknown) => expect(error).toBe("gave up"));
          }
        }
        let ended = 0;
        for (const steps of coroutines) void run(steps).then(() => ended++);
        await settle();
        // Nothing moves any more: whoever still sleeps has a reason.
        expect(mutex.locked).toBe(false);
        if (!notEmpty.empty) expect(buffer).toEqual([]);
        if (!notFull.empty) expect(buffer).toHaveLength(capacity);
        expect(ended + notEmpty.length + notFull.length).toBe(coroutines.length);
        expect([...taken, ...buffer]).toEqual(put);
      }),
      runs,
    );
  });
});

describe("CoRwLock in every order of 7 steps (hazards B1, B2)", () => {
  type Ticket = { readonly id: string; readonly mode: "read" | "write" };

  /** The rule, written as plainly as it can be: from the head of the line, whoever fits goes in. */
  class Model {
    readonly holders: Ticket[] = [];
    readonly line: Ticket[] = [];

    admit(): void {
      for (let head = this.line[0]; head !== undefined; head = this.line[0]) {
        const fits = head.mode === "write" ? this.holders.length === 0 : this.holders.every(({ mode }) => mode === "read");
        if (!fits) return;
        this.holders.push(head);
        this.line.shift();
      }
    }
  }

  function take(tickets: Ticket[], index: number): string {
    return tickets.splice(index, 1)[0]?.id ?? "";
  }

  /** One run: `choose` picks one of `count` steps. */
  async function walk(stepCount: number, choose: (count: number) => number): Promise<void> {
    const lock = new CoRwLock("lock");
    const model = new Model();
    const helds = new Map<string, Promise<Held>>();
    const controllers = new Map<string, AbortController>();

    async function step(): Promise<void> {
      let choice = choose(2 + model.holders.length + model.line.length);
      if (choice < 2) {
        const ticket: Ticket = { id: `t${helds.size}`, mode: choice === 0 ? "read" : "write" };
        const controller = new AbortController();
        controllers.set(ticket.id, controller);
        helds.set(ticket.id, lock[ticket.mode]({ who: ticket.id, signal: controller.signal }));
        model.line.push(ticket);
      } else if ((choice -= 2) < model.holders.length) {
        const id = take(model.holders, choice);
        (await helds.get(id))?.[Symbol.dispose]();
      } else {
        const id = take(model.line, choice - model.holders.length);
        controllers.get(id)?.abort("gave up");
        await expect(helds.get(id)).rejects.toBe("gave up");
      }
      model.admit();
    }
    function expectLikeModel(): void {
      const names = (tickets: readonly Ticket[]): string[] => tickets.map(({ id, mode }) => `${id} (${mode})`);
      const { holders, waiters } = lock.inspect();
      expect([holders.map(({ who }) => who), waiters.map(({ who }) => who)]).toEqual([names(model.holders), names(model.line)]);
    }

    for (let index = 0; index < stepCount; index++) {
      await step();
      expectLikeModel();
    }
    while (model.holders.length > 0) {
      const id = take(model.holders, 0);
      (await helds.get(id))?.[Symbol.dispose]();
      model.admit();
      expectLikeModel();
    }
    expect(lock.locked).toBe(false);
  }

  test("the lock is what the model says, after each step, and empties", async () => {
    let walks = 0;
    for (let path: number[] | undefined = []; path !== undefined; walks++) {
      const taken: { readonly choice: number; readonly count: number }[] = [];
      const prefix: readonly number[] = path;
      await walk(7, (count) => {
        const choice = prefix[taken.length] ?? 0;
        taken.push({ choice, count });
        return choice;
      });
      const last = taken.findLastIndex(({ choice, count }) => choice + 1 < count);
      path = last < 0 ? undefined : [...taken.slice(0, last).map(({ choice }) => choice), (taken[last]?.choice ?? 0) + 1];
    }
    expect(walks).toBeGreaterThan(6000);
  });
});
