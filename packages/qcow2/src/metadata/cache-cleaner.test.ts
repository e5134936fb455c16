import { CoMutex, Guarded, SimulatedClock, TableCache } from "@coblock/core";
import { describe, expect, test } from "vitest";
import { geometryOf } from "../format/geometry.ts";
import { CacheCleaner } from "./cache-cleaner.ts";
import { L2Tables } from "./l2-tables.ts";
import type { Metadata } from "./metadata.ts";
import { TableBytes } from "./table-bytes.ts";

const SECOND = 1000;
const geometry = geometryOf({ version: 3, clusterBits: 9, refcountOrder: 4, incompatible: 0n });

/** L2 tables that are all zeros, with nothing else of an image; the cleaner comes every second. */
function setUp(intervalMs: number = SECOND): {
  readonly clock: SimulatedClock;
  readonly state: Guarded<Metadata>;
  readonly cleaner: CacheCleaner;
  readonly entries: () => number;
} {
  const clock = new SimulatedClock();
  const lock = new CoMutex("driver lock", clock);
  const load = (): TableBytes => new TableBytes(new Uint8Array(512));
  const makeCache = (): TableCache<TableBytes> => new TableCache({ name: "L2", lock, capacity: 8, load, writeBack: async () => {} });
  const l2 = new L2Tables(geometry, makeCache, { sliceSize: 512, sliceCount: 8 });
  const state = new Guarded(lock, { l2, writable: undefined } as Metadata);
  return { clock, state, cleaner: new CacheCleaner(state, clock, intervalMs), entries: () => l2.statistics.entries };
}

async function use(state: Guarded<Metadata>, ...offsets: number[]): Promise<void> {
  using guard = await state.lock();
  for (const offset of offsets) guard.value.l2.get(offset, 0, "read");
}

describe("the cache cleaner", () => {
  test("drops what was not used since its last round, and leaves what is dirty or pinned", async () => {
    const { clock, state, entries } = setUp();
    await use(state, 512, 1024, 1536, 2048);
    const guard = await state.lock();
    const { slices } = guard.value.l2;
    slices.markDirty(await slices.fetch(1536));
    const pin = slices.pin(await slices.fetch(2048));
    guard[Symbol.dispose]();
    await clock.advance(SECOND);
    expect(entries(), "all were used in the first second").toBe(4);
    await use(state, 512);
    await clock.advance(SECOND);
    expect(entries()).toBe(3);
    await clock.advance(5 * SECOND);
    expect(entries()).toBe(2);
    using again = await state.lock();
    expect(again.value.l2.slices.find(1536)?.dirty).toBe(true);
    expect(again.value.l2.slices.find(2048)?.pins).toBe(1);
    pin[Symbol.dispose]();
  });

  test("with interval 0 there is none, and a clock that waits for work does not wait for it", async () => {
    expect(setUp(0).clock.timerCount).toBe(0);
    const { clock } = setUp();
    await clock.runUntilIdle();
    expect(clock.now()).toBe(0);
    expect(clock.timerCount).toBe(1);
  });

  test("stops while it sleeps, and goes on with a new interval", async () => {
    const { clock, state, cleaner, entries } = setUp();
    await use(state, 512);
    const stopped = await cleaner.stop();
    expect(clock.timerCount).toBe(0);
    cleaner.changeInterval(5 * SECOND);
    await clock.advance(60 * SECOND);
    expect(entries()).toBe(1);
    stopped[Symbol.dispose]();
    stopped[Symbol.dispose]();
    expect(clock.timerCount).toBe(1);
    await clock.advance(9 * SECOND);
    expect(entries()).toBe(1);
    await clock.advance(SECOND);
    expect(entries()).toBe(0);
  });

  test.each(["with the lock", "without the lock"] as const)("stops while it waits for the lock, asked %s", async (how) => {
    const { clock, state, cleaner, entries } = setUp();
    await use(state, 512);
    await clock.advance(SECOND);
    const guard = await state.lock();
    await clock.advance(SECOND);
    expect(state.inspect().waiters.map(({ who }) => who)).toEqual(["cache cleaner"]);
    let left = false;
    const stopping = cleaner.stop(how === "with the lock" ? guard : undefined).then(() => (left = true));
    if (how === "without the lock") {
      await clock.advance(SECOND);
      expect(left, "it has not left while the lock is held").toBe(false);
      guard[Symbol.dispose]();
    }
    await stopping;
    expect(guard.released).toBe(how === "without the lock");
    expect(entries(), "it drops nothing on its way out").toBe(1);
    expect(clock.timerCount).toBe(0);
    guard[Symbol.dispose]();
    expect(state.locked).toBe(false);
  });

  test("stops while it holds the lock: who asks gets its turn after the round", async () => {
    const { clock, state, cleaner, entries } = setUp();
    await use(state, 512);
    await clock.advance(SECOND);
    const first = await state.lock();
    await clock.advance(SECOND);
    first[Symbol.dispose]();
    // The lock is the cleaner's now, and its round comes in a later microtask.
    expect(state.locked).toBe(true);
    const stopping = cleaner.stop();
    const guard = await state.lock();
    await stopping;
    expect([entries(), clock.timerCount]).toEqual([1, 0]);
    guard[Symbol.dispose]();
  });

  test("starts again when the last who stopped it lets it", async () => {
    const { clock, cleaner } = setUp();
    const [first, second] = await Promise.all([cleaner.stop(), cleaner.stop()]);
    first[Symbol.dispose]();
    expect(clock.timerCount).toBe(0);
    const third = await cleaner.stop();
    second[Symbol.dispose]();
    expect(clock.timerCount).toBe(0);
    third[Symbol.dispose]();
    expect(clock.timerCount).toBe(1);
    expect(() => cleaner.changeInterval(1)).toThrow(/changes while it runs/);
  });
});
