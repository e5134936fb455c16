import { describe, expect, test } from "vitest";

import type { Held } from "../coroutine/held.ts";
import { CoMutex } from "../coroutine/mutex.ts";
import { SimulatedClock } from "../coroutine/simulated-clock.ts";
import type { MaybePromise, Wait } from "../driver.ts";
import { type CachedTable, TableCache } from "./table-cache.ts";

interface Table {
  readonly from: string;
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

/** A cache over a disk in memory, held for the whole test. */
async function setUp(capacity: number, writeBack?: () => Promise<void>) {
  const lock = new CoMutex("driver lock");
  const reads: number[] = [];
  const load = (offset: number): MaybePromise<Table> => {
    reads.push(offset);
    return { from: `disk ${offset}` };
  };
  const cache = new TableCache<Table>({ name: "L2", lock, capacity, load, ...(writeBack && { writeBack }) });
  return { lock, reads, cache, held: await lock.lock({ who: "test" }) };
}

describe("TableCache.get", () => {
  test("gives a table at once where the load needs no wait, and keeps it", async () => {
    const { cache, reads } = await setUp(4);
    const first = expectTable(cache.get(4096));
    expect(first).toMatchObject({ offset: 4096, table: { from: "disk 4096" }, dirty: false, pins: 0 });
    expect(cache.get(4096)).toBe(first);
    expect(cache.get(8192)).not.toBe(first);
    expect(reads).toEqual([4096, 8192]);
    expect(cache.statistics).toEqual({ hits: 1, misses: 2, evictions: 0, overshoot: 0, entries: 2 });
  });

  test("a load that throws leaves nothing behind", async () => {
    const lock = new CoMutex("driver lock");
    let broken = true;
    const cache = new TableCache<Table>({
      name: "L2",
      lock,
      capacity: 1,
      load: () => {
        if (broken) throw new Error("bad sector");
        return { from: "disk" };
      },
    });
    using _held = await lock.lock();
    expect(() => cache.get(4096)).toThrow("bad sector");
    await expect(cache.fetch(4096)).rejects.toThrow("bad sector");
    broken = false;
    expectTable(cache.get(4096));
  });

  test("works in a synchronous section", () => {
    const lock = new CoMutex("driver lock");
    const cache = new TableCache<Table>({ name: "L2", lock, capacity: 1, load: () => ({ from: "disk" }) });
    expect(lock.runSync(() => expectTable(cache.get(4096)).table.from)).toEqual({ value: "disk" });
  });
});

describe("TableCache evicts", () => {
  test("the table used least recently", async () => {
    const { cache } = await setUp(2);
    cache.get(1);
    cache.get(2);
    cache.get(1);
    cache.get(3);
    expect(cache.find(2)).toBeUndefined();
    expectTable(cache.find(1));
    expectTable(cache.find(3));
    expect(cache.statistics).toMatchObject({ evictions: 1, overshoot: 0, entries: 2 });
  });

  test("regardless of looks with intent `status`, and of `find`", async () => {
    const { cache } = await setUp(2);
    cache.get(1);
    cache.get(2);
    expectTable(cache.get(1, "status"));
    cache.find(1);
    cache.get(3, "write");
    expect(cache.find(1)).toBeUndefined();
    expectTable(cache.find(2));
  });

  test("with regard to fetch", async () => {
    const { cache } = await setUp(2);
    cache.get(1);
    cache.get(2);
    await cache.fetch(1);
    cache.get(3);
    expectTable(cache.find(1));
  });

  test("nothing that is pinned (hazard A1): the cache grows, and shrinks when pins are dropped", async () => {
    const { cache, reads } = await setUp(1);
    const inUse = expectTable(cache.get(1));
    const pins = [cache.pin(inUse), cache.pin(expectTable(cache.get(2))), cache.pin(inUse)];
    expectTable(cache.get(3));
    expect(cache.get(1)).toBe(inUse);
    expect(reads).toEqual([1, 2, 3]);
    expect(cache.statistics).toMatchObject({ overshoot: 2, entries: 3 });
    expect(inUse.pins).toBe(2);
    pins[0]?.[Symbol.dispose]();
    pins[0]?.[Symbol.dispose]();
    expect(inUse.pins).toBe(1);
    expect(cache.get(1)).toBe(inUse);
    pins[1]?.[Symbol.dispose]();
    expect(cache.statistics.entries).toBe(1);
    expect(cache.find(1)).toBe(inUse);
    pins[2]?.[Symbol.dispose]();
    expect(cache.statistics.entries).toBe(1);
    cache.get(4);
    expect(cache.find(1)).toBeUndefined();
  });

  test("what is used after it was evicted says so", async () => {
    const { cache } = await setUp(1, async () => {});
    const stale = expectTable(cache.get(1));
    cache.get(2);
    cache.get(1);
    expect(() => cache.markDirty(stale)).toThrow(/the table at 0x1 is used after it left the cache/);
    expect(() => cache.markClean(stale)).toThrow(/left the cache/);
    expect(() => cache.pin(stale)).toThrow(/left the cache/);
  });
});

describe("TableCache and dirty tables", () => {
  /** Writes everything back, like a format would, and notes what and whether the lock was held. */
  async function setUpWriteBack(capacity: number) {
    const written: number[][] = [];
    const world = await setUp(capacity, async () => {
      expect(world.lock.locked).toBe(true);
      await settle();
      const dirty = world.cache.dirtyEntries();
      written.push(dirty.map(({ offset }) => offset));
      for (const entry of dirty) world.cache.markClean(entry);
    });
    return { ...world, written };
  }

  test("are listed by offset, and are evicted only after they were written", async () => {
    const { cache, written } = await setUpWriteBack(3);
    for (const offset of [30, 10, 20]) cache.markDirty(expectTable(cache.get(offset)));
    expect(cache.dirtyEntries().map(({ offset }) => offset)).toEqual([10, 20, 30]);
    const entry = await cache.insert(40, { from: "memory" }, { dirty: true });
    expect(written).toEqual([[10, 20, 30]]);
    expect(cache.find(30)).toBeUndefined();
    expect(entry).toMatchObject({ table: { from: "memory" }, dirty: true });
    expect(cache.dirtyEntries()).toEqual([entry]);
  });

  test("stay while a clean one can go", async () => {
    const { cache, written } = await setUpWriteBack(2);
    const dirty = expectTable(cache.get(1));
    cache.markDirty(dirty);
    cache.get(2);
    cache.get(3);
    expect(written).toEqual([]);
    expect(cache.find(1)).toBe(dirty);
    expect(cache.find(2)).toBeUndefined();
  });

  test("make a load wait that would not have to", async () => {
    const { cache, written, lock, held } = await setUpWriteBack(1);
    cache.markDirty(expectTable(cache.get(1)));
    const wait = expectWait(cache.get(2));
    expect(cache.get(2)).toBe(wait);
    held[Symbol.dispose]();
    await wait.until;
    expect(written).toEqual([[1]]);
    using _held = await lock.lock();
    expectTable(cache.find(2));
    expect(cache.statistics).toMatchObject({ misses: 2, overshoot: 0, entries: 1 });
  });

  test("that are pinned too are left out of it: the cache grows", async () => {
    const { cache, written } = await setUpWriteBack(1);
    const entry = expectTable(cache.get(1));
    cache.markDirty(entry);
    const pin = cache.pin(entry);
    expectTable(cache.get(2));
    expect(written).toEqual([]);
    pin[Symbol.dispose]();
    expect(cache.find(1)).toBe(entry);
    await cache.makeRoom();
    expect(written).toEqual([[1]]);
    expect(cache.statistics.entries).toBe(0);
  });

  test("are kept where writing back fails; the load fails with that error", async () => {
    const { cache, lock, held } = await setUp(1, async () => {
      throw new Error("no space");
    });
    const entry = expectTable(cache.get(1));
    cache.markDirty(entry);
    await expect(cache.insert(2, { from: "memory" })).rejects.toThrow("no space");
    await expect(cache.fetch(2)).rejects.toThrow("no space");
    const wait = expectWait(cache.get(2));
    held[Symbol.dispose]();
    await expect(wait.until).rejects.toThrow("no space");
    using _held = await lock.lock();
    expect(cache.find(1)).toBe(entry);
    expect(cache.find(2)).toBeUndefined();
    expect(entry.dirty).toBe(true);
  });

  test("need a write-back that cleans", async () => {
    const { cache } = await setUp(1, async () => {});
    cache.markDirty(expectTable(cache.get(1)));
    await expect(cache.makeRoom()).rejects.toThrow(/cleaned no table/);
    const writeThrough = await setUp(1);
    expect(() => writeThrough.cache.markDirty(expectTable(writeThrough.cache.get(1)))).toThrow(/write-through/);
  });

  test("may be written in several steps", async () => {
    const { cache } = await setUp(3, async () => {
      const [first] = cache.dirtyEntries();
      if (first !== undefined) cache.markClean(first);
    });
    for (const offset of [1, 2, 3]) cache.markDirty(expectTable(cache.get(offset)));
    await cache.makeRoom(2);
    expect(cache.statistics.entries).toBe(1);
    expectTable(cache.find(3));
  });
});

describe("TableCache: who brings a table first", () => {
  test("a table that is freed while room is made for it is read anew", async () => {
    const { cache, reads } = await setUp(1, async () => {
      cache.drop(2);
      for (const entry of cache.dirtyEntries()) cache.markClean(entry);
    });
    cache.markDirty(expectTable(cache.get(1)));
    expect((await cache.fetch(2)).table.from).toBe("disk 2");
    expect(reads).toEqual([1, 2, 2]);
  });

  test("insert refuses a second table", async () => {
    const { cache } = await setUp(4);
    const entry = expectTable(cache.get(1));
    await expect(cache.insert(1, { from: "memory" })).rejects.toThrow(/a second table at 0x1/);
    expect(cache.get(1)).toBe(entry);
  });
});

describe("TableCache forgets", () => {
  test("a freed table, dirty or not, but none in use", async () => {
    const { cache } = await setUp(4, async () => {});
    const entry = expectTable(cache.get(1));
    cache.markDirty(entry);
    const pin = cache.pin(entry);
    expect(() => cache.drop(1)).toThrow(/at 0x1 is dropped while it is pinned/);
    pin[Symbol.dispose]();
    cache.drop(1);
    cache.drop(2);
    expect(cache.find(1)).toBeUndefined();
    expect(cache.dirtyEntries()).toEqual([]);
    expect(cache.statistics).toMatchObject({ evictions: 0, entries: 0 });
  });

  test("for a cleaner: what was not used since its last round, never what is dirty or pinned", async () => {
    const { cache } = await setUp(8, async () => {});
    for (const offset of [1, 2, 3, 4]) cache.get(offset);
    cache.markDirty(expectTable(cache.get(3)));
    const pin = cache.pin(expectTable(cache.get(4)));
    expect(cache.evictUnused()).toBe(0);
    cache.get(2);
    cache.get(1, "status");
    expect(cache.evictUnused()).toBe(1);
    expect([1, 2, 3, 4].filter((offset) => cache.find(offset) !== undefined)).toEqual([2, 3, 4]);
    expect(cache.evictUnused()).toBe(1);
    pin[Symbol.dispose]();
    expect(cache.evictUnused()).toBe(1);
    expect(cache.statistics).toMatchObject({ evictions: 3, entries: 1 });
  });

  test("nothing at `clear` while a table is dirty or pinned", async () => {
    const { cache } = await setUp(4, async () => {});
    const entry = expectTable(cache.get(1));
    cache.markDirty(entry);
    expect(() => cache.clear()).toThrow(/the table at 0x1 is dirty/);
    cache.markClean(entry);
    const pin = cache.pin(entry);
    expect(() => cache.clear()).toThrow(/the table at 0x1 is pinned/);
    pin[Symbol.dispose]();
    cache.clear();
    expect(cache.find(1)).toBeUndefined();
  });

  test("what is too much when the capacity changes", async () => {
    const { cache } = await setUp(4, async () => {});
    for (const offset of [1, 2, 3, 4]) cache.get(offset);
    cache.markDirty(expectTable(cache.find(1)));
    cache.setCapacity(2);
    expect([1, 2, 3, 4].filter((offset) => cache.find(offset) !== undefined)).toEqual([1, 4]);
    cache.setCapacity(3);
    cache.get(5);
    expect(cache.statistics.entries).toBe(3);
    expect(() => cache.setCapacity(0)).toThrow(/room for 0/);
  });
});

describe("TableCache and its lock", () => {
  test("every call asserts that the lock is held", async () => {
    const { cache, held } = await setUp(4, async () => {});
    const entry = expectTable(cache.get(1));
    const pin = cache.pin(entry);
    held[Symbol.dispose]();
    const unlocked = /table cache "L2" is used without lock "driver lock"/;
    const calls: (() => unknown)[] = [
      () => cache.get(1),
      () => cache.find(1),
      () => cache.pin(entry),
      () => pin[Symbol.dispose](),
      () => cache.markDirty(entry),
      () => cache.markClean(entry),
      () => cache.dirtyEntries(),
      () => cache.drop(1),
      () => cache.evictUnused(),
      () => cache.clear(),
      () => cache.setCapacity(2),
    ];
    for (const call of calls) expect(call).toThrow(unlocked);
    await expect(cache.fetch(1)).rejects.toThrow(unlocked);
    await expect(cache.insert(2, { from: "memory" })).rejects.toThrow(unlocked);
    await expect(cache.makeRoom()).rejects.toThrow(unlocked);
  });

  test("a pin that could not be dropped without the lock can be dropped with it", async () => {
    const { cache, lock, held } = await setUp(4);
    const entry = expectTable(cache.get(1));
    const pin = cache.pin(entry);
    held[Symbol.dispose]();
    expect(() => pin[Symbol.dispose]()).toThrow(/without lock/);
    using _held: Held = await lock.lock();
    pin[Symbol.dispose]();
    expect(entry.pins).toBe(0);
  });

  test("a write-back that loses the lock is caught", async () => {
    const { cache, held } = await setUp(1, async () => {
      const [entry] = cache.dirtyEntries();
      if (entry !== undefined) cache.markClean(entry);
      held[Symbol.dispose]();
    });
    cache.markDirty(expectTable(cache.get(1)));
    await expect(cache.makeRoom()).rejects.toThrow(/without lock/);
  });
});
