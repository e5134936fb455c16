/** The cache over a disk that takes its time: loads in flight, and what happens meanwhile. */

import { describe, expect, test } from "vitest";

import { CoMutex } from "../coroutine/mutex.ts";
import { SimulatedClock } from "../coroutine/simulated-clock.ts";
import type { Wait } from "../driver.ts";
import { type CachedTable, TableCache } from "./table-cache.ts";

interface Table {
  readonly from: string;
}

/** A disk whose reads end when the test says so. */
class SlowDisk {
  readonly reads: number[] = [];
  readonly #pending: { readonly offset: number; resolve(table: Table): void; reject(error: Error): void }[] = [];

  readonly load = (offset: number): Promise<Table> => {
    this.reads.push(offset);
    return new Promise((resolve, reject) => this.#pending.push({ offset, resolve, reject }));
  };

  /** Ends the oldest read in flight. */
  async finish(): Promise<void> {
    const read = this.#pending.shift();
    read?.resolve({ from: `disk ${read.offset}` });
    await settle();
  }

  finishAll(): void {
    for (const read of this.#pending.splice(0)) read.resolve({ from: `disk ${read.offset}` });
  }

  async fail(message: string): Promise<void> {
    this.#pending.shift()?.reject(new Error(message));
    await settle();
  }
}

/** Every microtask that is due has run. */
async function settle(): Promise<void> {
  await new SimulatedClock().advance(0);
}

function expectTable(answer: CachedTable<Table> | Wait | undefined): CachedTable<Table> {
  expect(answer?.kind).toBe("table");
  return answer as CachedTable<Table>;
}

function expectWait(answer: CachedTable<Table> | Wait): Wait {
  expect(answer.kind).toBe("wait");
  return answer as Wait;
}

/** A cache over a slow disk, with the lock free. */
function setUpSlow(capacity = 4) {
  const lock = new CoMutex("driver lock");
  const disk = new SlowDisk();
  return { lock, disk, cache: new TableCache<Table>({ name: "L2", lock, capacity, load: disk.load }) };
}

describe("A miss", () => {
  test("answers one wait to all who miss a table, and reads it once, without the lock", async () => {
    const { lock, disk, cache } = setUpSlow();
    const held = await lock.lock();
    const wait = expectWait(cache.get(4096));
    expect(cache.get(4096)).toBe(wait);
    expect(cache.find(4096)).toBeUndefined();
    held[Symbol.dispose]();
    expect(lock.locked).toBe(false);
    await disk.finish();
    await wait.until;
    expect(lock.locked).toBe(false);
    using _held = await lock.lock();
    expect(expectTable(cache.get(4096)).table.from).toBe("disk 4096");
    expect(disk.reads).toEqual([4096]);
  });

  test("misses load in parallel, and each takes the lock to install", async () => {
    const { lock, disk, cache } = setUpSlow();
    const held = await lock.lock();
    expectWait(cache.get(4096));
    const wait = expectWait(cache.get(8192));
    expect(disk.reads).toEqual([4096, 8192]);
    await disk.finish();
    await disk.finish();
    expect(cache.find(4096)).toBeUndefined();
    expect(lock.inspect().waiters.map(({ who }) => who)).toEqual(['table cache "L2", loading 0x1000', 'table cache "L2", loading 0x2000']);
    held[Symbol.dispose]();
    await wait.until;
    using _held = await lock.lock();
    expectTable(cache.find(4096));
    expectTable(cache.find(8192));
  });

  test("a failed load is seen by all who wait, and the next asks the disk again", async () => {
    const { lock, disk, cache } = setUpSlow();
    const held = await lock.lock();
    const waits = [expectWait(cache.get(4096)), expectWait(cache.get(4096))];
    held[Symbol.dispose]();
    await disk.fail("bad sector");
    for (const { until } of waits) await expect(until).rejects.toThrow("bad sector");
    const again = await lock.lock();
    const wait = expectWait(cache.get(4096));
    again[Symbol.dispose]();
    await disk.finish();
    await wait.until;
    using _held = await lock.lock();
    expectTable(cache.get(4096));
    expect(disk.reads).toEqual([4096, 4096]);
  });

  test("a failed load that nobody waits for disturbs nobody", async () => {
    const { lock, disk, cache } = setUpSlow();
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", note);
    const held = await lock.lock();
    expectWait(cache.get(4096));
    held[Symbol.dispose]();
    await disk.fail("bad sector");
    await settle();
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
    expect(lock.locked).toBe(false);
  });
});

describe("A table in use, or waited for,", () => {
  test("is one object while its write is in flight (hazard A1, as it happened)", async () => {
    const { lock, disk, cache } = setUpSlow(1);
    const writer = await lock.lock();
    const fetching = cache.fetch(1);
    await disk.finish();
    const table = await fetching;
    const pin = cache.pin(table);
    writer[Symbol.dispose]();
    // The write of table 1 is in flight, without the lock. Another request loads a table.
    const other = await lock.lock();
    const wait = expectWait(cache.get(2));
    other[Symbol.dispose]();
    await disk.finish();
    await wait.until;
    const third = await lock.lock();
    expect(cache.get(1)).toBe(table);
    expect(disk.reads).toEqual([1, 2]);
    expect(cache.statistics).toMatchObject({ overshoot: 1, entries: 2 });
    pin[Symbol.dispose]();
    expect(cache.statistics.entries).toBe(1);
    third[Symbol.dispose]();
  });

  test("is kept until the request that waits has come: two that need more than fits do not starve each other", async () => {
    const { lock, disk, cache } = setUpSlow(1);
    const seen: string[] = [];
    async function look(offset: number): Promise<void> {
      for (;;) {
        const held = await lock.lock();
        const answer = cache.get(offset);
        if (answer.kind === "table") seen.push(answer.table.from);
        held[Symbol.dispose]();
        if (answer.kind === "table") return;
        await answer.until;
      }
    }
    const looks = [look(1), look(2), look(3)];
    await settle();
    const blocker = await lock.lock();
    for (let index = 0; index < 3; index++) await disk.finish();
    blocker[Symbol.dispose]();
    await Promise.all(looks);
    expect(seen).toEqual(["disk 1", "disk 2", "disk 3"]);
    expect(disk.reads).toEqual([1, 2, 3]);
    expect(cache.statistics).toMatchObject({ overshoot: 2, entries: 1 });
  });

  test("may go when very many requests never came", async () => {
    const { lock, disk, cache } = setUpSlow(1);
    const held = await lock.lock();
    for (let offset = 1; offset <= 1100; offset++) expectWait(cache.get(offset));
    held[Symbol.dispose]();
    disk.finishAll();
    await settle();
    using _held = await lock.lock();
    expect(cache.statistics).toMatchObject({ misses: 1100, entries: 1025 });
    expect(cache.find(1)).toBeUndefined();
    // Who does come has its table; a cleaner takes the rest.
    const entry = expectTable(cache.get(1100));
    expect(cache.find(1100)).toBe(entry);
    expect(cache.evictUnused()).toBe(0);
    expect(cache.evictUnused()).toBeGreaterThan(1000);
    expect(cache.statistics.entries).toBe(0);
    cache.get(1);
    disk.finishAll();
  });
});

describe("Who brings a table first", () => {
  test("fetch takes over the read in flight; there is one object", async () => {
    const { lock, disk, cache } = setUpSlow();
    const held = await lock.lock();
    const wait = expectWait(cache.get(4096));
    const fetches = [cache.fetch(4096), cache.fetch(4096)];
    await disk.finish();
    const [first, second] = await Promise.all(fetches);
    expect(second).toBe(first);
    expect(cache.get(4096)).toBe(first);
    held[Symbol.dispose]();
    await wait.until;
    using _held = await lock.lock();
    expect(cache.get(4096)).toBe(first);
    expect(disk.reads).toEqual([4096]);
  });

  test("a miss while fetch reads waits for the same table", async () => {
    const { lock, disk, cache } = setUpSlow();
    const held = await lock.lock();
    const fetching = cache.fetch(4096);
    const wait = expectWait(cache.get(4096));
    await disk.finish();
    const entry = await fetching;
    held[Symbol.dispose]();
    await wait.until;
    using _held = await lock.lock();
    expect(cache.get(4096)).toBe(entry);
    expect(disk.reads).toEqual([4096]);
  });

  test("a failed fetch leaves nothing behind", async () => {
    const { lock, disk, cache } = setUpSlow();
    using _held = await lock.lock();
    const fetching = cache.fetch(4096);
    const outcome = fetching.catch((error: unknown) => error);
    await disk.fail("bad sector");
    expect(await outcome).toMatchObject({ message: "bad sector" });
    const again = cache.fetch(4096);
    await disk.finish();
    expect((await again).table.from).toBe("disk 4096");
  });

  test("a table that was inserted stays when an older read comes in, or fails (hazard B6)", async () => {
    for (const end of ["finish", "fail"] as const) {
      const { lock, disk, cache } = setUpSlow(1);
      const held = await lock.lock();
      const wait = expectWait(cache.get(4096));
      const inserted = await cache.insert(4096, { from: "memory" });
      held[Symbol.dispose]();
      await disk[end]("bad sector");
      await wait.until;
      using _held = await lock.lock();
      expect(cache.get(4096)).toBe(inserted);
    }
  });

  test("a table that was freed does not come back with the read that was in flight", async () => {
    const { lock, disk, cache } = setUpSlow();
    const held = await lock.lock();
    const wait = expectWait(cache.get(4096));
    cache.drop(4096);
    const anew = expectWait(cache.get(4096));
    expect(anew).not.toBe(wait);
    held[Symbol.dispose]();
    await disk.finish();
    await wait.until;
    const between = await lock.lock();
    expect(cache.find(4096)).toBeUndefined();
    between[Symbol.dispose]();
    await disk.finish();
    await anew.until;
    using _held = await lock.lock();
    expectTable(cache.find(4096));
    expect(disk.reads).toEqual([4096, 4096]);
  });

  test("fetch reads again where the table was freed meanwhile", async () => {
    const { lock, disk, cache } = setUpSlow();
    using _held = await lock.lock();
    const fetching = cache.fetch(4096);
    cache.drop(4096);
    await disk.fail("bad sector");
    await disk.finish();
    expect((await fetching).table.from).toBe("disk 4096");
    expect(disk.reads).toEqual([4096, 4096]);
  });

  test("what is in flight at `clear` does not come in afterwards", async () => {
    const { lock, disk, cache } = setUpSlow();
    const held = await lock.lock();
    await cache.insert(1, { from: "memory" });
    const wait = expectWait(cache.get(2));
    cache.clear();
    held[Symbol.dispose]();
    await disk.finish();
    await wait.until;
    using _held = await lock.lock();
    expect(cache.find(1)).toBeUndefined();
    expect(cache.find(2)).toBeUndefined();
    expect(cache.statistics.entries).toBe(0);
  });
});
