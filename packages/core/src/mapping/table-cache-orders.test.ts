/** A cache under random requests and a cleaner: what a request sees is what was written before it, in every order of steps. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { CoMutex } from "../coroutine/mutex.ts";
import { SimulatedClock } from "../coroutine/simulated-clock.ts";
import { type CachedTable, TableCache } from "./table-cache.ts";

type Slots = number[];

const slotCount = 3;

/** Lets others run for some microtasks. */
async function hops(count: number): Promise<void> {
  for (let hop = 0; hop < count; hop++) await Promise.resolve();
}

/** A format with nothing but its tables, and what they should contain. */
class World {
  readonly lock: CoMutex = new CoMutex("driver lock");
  readonly cache: TableCache<Slots>;
  readonly #disk: Map<number, Slots> = new Map();
  readonly #expected: Map<number, Slots> = new Map();
  readonly #inUse: Map<number, { readonly table: Slots; uses: number }> = new Map();
  readonly #latencies: readonly number[];
  readonly #writeBack: boolean;
  #operations = 0;

  constructor(options: { readonly capacity: number; readonly latencies: readonly number[]; readonly writeBack: boolean }) {
    this.#latencies = options.latencies;
    this.#writeBack = options.writeBack;
    this.cache = new TableCache<Slots>({
      name: "tables",
      lock: this.lock,
      capacity: options.capacity,
      load: (offset) => this.#load(offset),
      ...(options.writeBack && { writeBack: () => this.flush() }),
    });
  }

  /** Looks a table up as the mapping engine does, and checks what it sees. */
  async look(offset: number, intent: "read" | "status"): Promise<void> {
    for (;;) {
      let wait: Promise<unknown>;
      {
        using _held = await this.lock.lock();
        const answer = this.cache.get(offset, intent);
        if (answer.kind === "table") return this.#expectCurrent(answer);
        wait = answer.until;
      }
      await wait;
    }
  }

  /** Changes one slot: with write-back in memory, else on the disk too, which is done without the lock. */
  async update(offset: number, slot: number, value: number): Promise<void> {
    const held = await this.lock.lock();
    const entry = await this.cache.fetch(offset);
    this.#expectCurrent(entry);
    const pin = this.cache.pin(entry);
    this.#enter(entry);
    await hops(this.#latency());
    entry.table[slot] = value;
    this.#slotsIn(this.#expected, offset)[slot] = value;
    if (this.#writeBack) this.cache.markDirty(entry);
    held[Symbol.dispose]();
    await hops(this.#latency());
    if (!this.#writeBack) this.#slotsIn(this.#disk, offset)[slot] = value;
    using _again = await this.lock.lock();
    this.#leave(entry);
    pin[Symbol.dispose]();
  }

  /** A table is freed and a new one takes its place. */
  async renew(offset: number, value: number): Promise<void> {
    using _held = await this.lock.lock();
    if (this.cache.find(offset)?.pins) return;
    this.cache.drop(offset);
    await hops(this.#latency());
    const fresh = Array.from({ length: slotCount }, () => value);
    this.#expected.set(offset, [...fresh]);
    if (!this.#writeBack) this.#disk.set(offset, [...fresh]);
    const entry = await this.cache.insert(offset, fresh, { dirty: this.#writeBack });
    expect(entry.table).toBe(fresh);
  }

  /** Two rounds of a cleaner with no use between them (hazard A3): all goes that may. */
  async clean(): Promise<void> {
    using _held = await this.lock.lock();
    this.cache.evictUnused();
    this.cache.evictUnused();
    for (const [offset, { table }] of this.#inUse) expect(this.cache.find(offset)?.table).toBe(table);
  }

  async flush(): Promise<void> {
    for (const entry of this.cache.dirtyEntries()) {
      await hops(this.#latency());
      this.#disk.set(entry.offset, [...entry.table]);
      this.cache.markClean(entry);
    }
  }

  expectDisk(): void {
    for (const [offset, slots] of this.#expected) expect(this.#slotsIn(this.#disk, offset)).toEqual(slots);
  }

  async #load(offset: number): Promise<Slots> {
    await hops(this.#latency());
    expect(this.#inUse.has(offset)).toBe(false);
    const slots = [...this.#slotsIn(this.#disk, offset)];
    await hops(this.#latency());
    return slots;
  }

  #expectCurrent(entry: CachedTable<Slots>): void {
    const inUse = this.#inUse.get(entry.offset);
    if (inUse !== undefined) expect(entry.table).toBe(inUse.table);
    expect(entry.table).toEqual(this.#slotsIn(this.#expected, entry.offset));
  }

  #enter(entry: CachedTable<Slots>): void {
    const inUse = this.#inUse.get(entry.offset) ?? { table: entry.table, uses: 0 };
    inUse.uses++;
    this.#inUse.set(entry.offset, inUse);
  }

  #leave(entry: CachedTable<Slots>): void {
    const inUse = this.#inUse.get(entry.offset);
    if (inUse !== undefined && --inUse.uses === 0) this.#inUse.delete(entry.offset);
  }

  #slotsIn(tables: Map<number, Slots>, offset: number): Slots {
    const slots = tables.get(offset) ?? Array.from({ length: slotCount }, () => 0);
    tables.set(offset, slots);
    return slots;
  }

  #latency(): number {
    return this.#latencies[this.#operations++ % this.#latencies.length] ?? 0;
  }
}

interface Request {
  /** Microtasks to let pass first. */
  readonly before: number;
  readonly kind: "look" | "status" | "update" | "renew" | "clean";
  readonly offset: number;
  readonly slot: number;
  readonly value: number;
}
const request: fc.Arbitrary<Request> = fc.record({
  before: fc.nat({ max: 6 }),
  kind: fc.constantFrom<Request["kind"][]>("look", "look", "status", "update", "update", "renew", "clean"),
  offset: fc.integer({ min: 1, max: 4 }),
  slot: fc.nat({ max: slotCount - 1 }),
  value: fc.integer({ min: 1, max: 1_000_000 }),
});
const program = fc.record({
  capacity: fc.integer({ min: 1, max: 3 }),
  latencies: fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 7 }),
  coroutines: fc.array(fc.array(request, { maxLength: 5 }), { minLength: 2, maxLength: 5 }),
});

async function run(world: World, requests: readonly Request[]): Promise<void> {
  for (const { before, kind, offset, slot, value } of requests) {
    await hops(before);
    if (kind === "look") await world.look(offset, "read");
    else if (kind === "status") await world.look(offset, "status");
    else if (kind === "update") await world.update(offset, slot, value);
    else if (kind === "renew") await world.renew(offset, value);
    else await world.clean();
  }
}

describe.each([
  ["write-through", false],
  ["write-back", true],
] as const)("TableCache in many orders, %s (hazards A1, A3, B6)", (_, writeBack) => {
  test("one object per table in use, no read of it, nothing lost, and the cache shrinks again", async () => {
    await fc.assert(
      fc.asyncProperty(program, async ({ capacity, latencies, coroutines }) => {
        const world = new World({ capacity, latencies, writeBack });
        const errors: unknown[] = [];
        let ended = 0;
        for (const requests of coroutines) {
          void run(world, requests)
            .catch((error: unknown) => errors.push(error))
            .then(() => ended++);
        }
        // Enough for every hop: nothing here waits for anything but microtasks.
        await new SimulatedClock().advance(0);
        expect(errors).toEqual([]);
        expect(ended).toBe(coroutines.length);
        using _held = await world.lock.lock();
        await world.flush();
        world.expectDisk();
        world.cache.setCapacity(1);
        expect(world.cache.statistics.entries).toBeLessThanOrEqual(1);
        world.cache.clear();
      }),
      { seed: 14, numRuns: 3000 },
    );
  });
});
