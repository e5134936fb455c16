/** Metadata tables in memory: one live object per table, used only under the driver lock. */

import type { CoMutex } from "../coroutine/mutex.ts";
import { touch } from "../coroutine/witness.ts";
import type { Intent, MaybePromise, Wait } from "../driver.ts";
import { assert, hex } from "../errors.ts";
import { type RecencyLinks, RecencyList } from "./recency-list.ts";

/** A table in the cache. It may be evicted at the next await and by the next call, unless it is pinned or dirty. */
export interface CachedTable<Table> {
  readonly kind: "table";
  /** Where it is in the file, bytes. */
  readonly offset: number;
  readonly table: Table;
  /** Memory knows more than the disk. */
  readonly dirty: boolean;
  readonly pins: number;
}

/** What a cache needs of its driver. */
export interface TableCacheOptions<Table> {
  readonly name: string;
  /** The driver lock. */
  readonly lock: CoMutex;
  /** Tables, at least 1. */
  readonly capacity: number;
  /** Reads a table. A miss calls it and lets the lock go before it is done. */
  load(offset: number): MaybePromise<Table>;
  /**
   * Room is needed and every table that could go is dirty: must write some and mark them clean. Called under the lock, and may use
   * the cache. Absent: the format writes through, tables are never dirty.
   */
  writeBack?(): Promise<void>;
}

/** Beyond so many tables that nobody came back for, the requests have left (were aborted): the oldest may go. */
const mostAwaited = 1024;

/** Counters since the cache was made; `entries` and `overshoot` in tables. */
export interface TableCacheStatistics {
  /** Answers from memory. */
  readonly hits: number;
  /** Loads begun. */
  readonly misses: number;
  readonly evictions: number;
  /** The most tables beyond the capacity at one time. */
  readonly overshoot: number;
  /** Tables now. */
  readonly entries: number;
}

/**
 * The tables used most recently. Every call is made while the driver lock is held, and asserts that.
 *
 * A table that is pinned or dirty is never evicted: with nothing else to evict the cache grows past its capacity, and shrinks when
 * pins are dropped. So no second copy of a table in use can be read from the disk (QEMU, "qed: do not evict in-use L2 table cache
 * entries"). A miss makes one loading entry, which every other miss of that table shares; its loader reads without the lock and takes
 * it to install. Where someone else brings the table meanwhile, or frees it, the loader's copy gives way.
 *
 * A table that a request waits for stays until it is asked for: else requests for more tables than fit could evict each other's
 * tables forever, each before it was looked at.
 */
export class TableCache<Table> {
  readonly #options: TableCacheOptions<Table>;
  readonly #lock: CoMutex;
  readonly #entries: Map<number, Entry<Table>> = new Map();
  readonly #recency: RecencyList<Entry<Table>> = new RecencyList();
  readonly #loading: Map<number, Loading<Table>> = new Map();
  readonly #dirty: Set<Entry<Table>> = new Set();
  #capacity: number;
  #awaitedCount = 0;
  #uses = 0;
  /** `#uses` at the last `evictUnused`. */
  #usesBefore = 0;
  #hits = 0;
  #misses = 0;
  #evictions = 0;
  #overshoot = 0;

  constructor(options: TableCacheOptions<Table>) {
    assert(options.capacity >= 1, `table cache "${options.name}" with room for ${options.capacity}`);
    this.#options = options;
    this.#lock = options.lock;
    this.#capacity = options.capacity;
  }

  get statistics(): TableCacheStatistics {
    return { hits: this.#hits, misses: this.#misses, evictions: this.#evictions, overshoot: this.#overshoot, entries: this.#entries.size };
  }

  /**
   * The table at `offset`, or what to await, without the lock, before asking again; that rejects where the load failed, and the next
   * `get` tries anew. A load that needs no wait gives the table at once. "status" leaves the order of eviction alone.
   */
  get(offset: number, intent: Intent = "read"): CachedTable<Table> | Wait {
    this.#assertLocked();
    const newest = this.#recency.newest;
    const entry = newest?.offset === offset ? newest : this.#entries.get(offset);
    if (entry === undefined) return this.#miss(offset);
    this.#hits++;
    if (entry.awaited) this.#arrive(entry);
    if (intent !== "status") this.#use(entry);
    return entry;
  }

  /** The table if it is present; is no use of it. */
  find(offset: number): CachedTable<Table> | undefined {
    this.#assertLocked();
    const entry = this.#entries.get(offset);
    if (entry?.awaited === true) this.#arrive(entry);
    return entry;
  }

  /** The table, loaded if need be, for a caller that keeps the lock all the while. A read in flight for a miss is taken over. */
  async fetch(offset: number): Promise<CachedTable<Table>> {
    for (;;) {
      this.#assertLocked();
      const entry = this.#entries.get(offset);
      if (entry !== undefined) {
        this.#hits++;
        if (entry.awaited) this.#arrive(entry);
        this.#use(entry);
        return entry;
      }
      const installed = await this.#install(this.#loading.get(offset) ?? this.#beginLoading(offset, this.#read(offset)));
      if (installed !== undefined) return installed;
    }
  }

  /** Adds a table that was not in the cache, after making room. Use what it returns. The caller keeps the lock all the while. */
  async insert(offset: number, table: Table, options: { readonly dirty?: boolean } = {}): Promise<CachedTable<Table>> {
    await this.makeRoom();
    const entry = this.#add(offset, table);
    if (options.dirty === true) this.markDirty(entry);
    return entry;
  }

  /** Evicts until there is room for `count` tables, writing back if need be. What is pinned stays, even if the cache grows by it. */
  async makeRoom(count = 1): Promise<void> {
    this.#assertLocked();
    while (!this.#evictFor(count) && this.#hasDirtyToEvict()) {
      const dirtyBefore = this.#dirty.size;
      await this.#options.writeBack?.();
      this.#assertLocked();
      assert(this.#dirty.size < dirtyBefore || this.#evictFor(count), `table cache "${this.#options.name}": writing back cleaned no table`);
    }
  }

  /** Keeps a table in the cache until disposed, which takes the lock too; disposing twice does nothing. Pins add up. */
  pin(entry: CachedTable<Table>): Disposable {
    this.#assertLocked();
    const own = this.#own(entry);
    own.pins++;
    return new Pin(() => this.#unpin(own));
  }

  /** The table was changed in memory; to be written before it may be evicted. */
  markDirty(entry: CachedTable<Table>): void {
    this.#assertLocked();
    assert(this.#options.writeBack !== undefined, "a table of a write-through cache became dirty");
    const own = this.#own(entry);
    own.dirty = true;
    this.#dirty.add(own);
  }

  /** The table was written as it is now. */
  markClean(entry: CachedTable<Table>): void {
    this.#assertLocked();
    const own = this.#own(entry);
    own.dirty = false;
    this.#dirty.delete(own);
  }

  /** All dirty tables, by offset. */
  dirtyEntries(): CachedTable<Table>[] {
    this.#assertLocked();
    return [...this.#dirty].sort((a, b) => a.offset - b.offset);
  }

  /** The table at `offset` was freed: forgets it, dirty or not. It must not be pinned. */
  drop(offset: number): void {
    this.#assertLocked();
    this.#loading.delete(offset);
    const entry = this.#entries.get(offset);
    if (entry === undefined) return;
    assert(entry.pins === 0, `table cache "${this.#options.name}": the table at ${hex(offset)} is dropped while it is pinned`);
    this.#remove(entry);
  }

  /** One round of a cache cleaner: evicts every clean, unpinned table that was not used since the last round; answers how many. */
  evictUnused(): number {
    this.#assertLocked();
    const before = this.#evictions;
    for (const entry of this.#entries.values()) if (isIdle(entry) && entry.lastUse <= this.#usesBefore) this.#evict(entry);
    this.#usesBefore = this.#uses;
    return this.#evictions - before;
  }

  /** Forgets all tables, which must be clean and unpinned; loads in flight give way. */
  clear(): void {
    this.#assertLocked();
    for (const entry of this.#entries.values()) {
      assert(
        isIdle(entry),
        `table cache "${this.#options.name}" is cleared, but the table at ${hex(entry.offset)} is ${entry.dirty ? "dirty" : "pinned"}`,
      );
    }
    for (const entry of this.#entries.values()) this.#remove(entry);
    this.#loading.clear();
  }

  /** Changes the number of tables to keep, at least 1; dirty ones beyond it stay until room is needed. */
  setCapacity(capacity: number): void {
    this.#assertLocked();
    assert(capacity >= 1, `table cache "${this.#options.name}" with room for ${capacity}`);
    this.#capacity = capacity;
    this.#evictFor(0);
  }

  #miss(offset: number): CachedTable<Table> | Wait {
    const loading = this.#loading.get(offset);
    if (loading !== undefined) return this.#waitFor(loading);
    const read = this.#read(offset);
    const presentNow = !(read instanceof Promise) && (this.#evictFor(1) || !this.#hasDirtyToEvict());
    return presentNow ? this.#add(offset, read) : this.#waitFor(this.#beginLoading(offset, read));
  }

  #read(offset: number): MaybePromise<Table> {
    this.#misses++;
    return this.#options.load(offset);
  }

  #beginLoading(offset: number, read: MaybePromise<Table>): Loading<Table> {
    const loading: Loading<Table> = { offset, read: Promise.resolve(read), wait: undefined };
    this.#loading.set(offset, loading);
    return loading;
  }

  #waitFor(loading: Loading<Table>): Wait {
    if (loading.wait !== undefined) return loading.wait;
    const until = this.#runLoader(loading);
    // A failure belongs to those who wait for it, and all of them may have left.
    until.catch(() => {});
    return (loading.wait = { kind: "wait", until });
  }

  async #runLoader(loading: Loading<Table>): Promise<void> {
    // Whether it failed is looked at under the lock.
    await Promise.allSettled([loading.read]);
    using _held = await this.#lock.lock({ who: `table cache "${this.#options.name}", loading ${hex(loading.offset)}` });
    if (!this.#isCurrent(loading)) return;
    const entry = await this.#install(loading);
    if (entry === undefined) return;
    entry.awaited = true;
    this.#awaitedCount++;
  }

  /** Under the lock: puts in what `loading` read, or forgets it where that failed. `undefined`: it gave way, look again. */
  async #install(loading: Loading<Table>): Promise<Entry<Table> | undefined> {
    try {
      const table = await loading.read;
      await this.makeRoom();
      return this.#isCurrent(loading) ? this.#add(loading.offset, table) : undefined;
    } catch (error) {
      if (!this.#isCurrent(loading)) return undefined;
      this.#loading.delete(loading.offset);
      throw error;
    }
  }

  /** Nobody brought the table in, or dropped it, since the load began. */
  #isCurrent(loading: Loading<Table>): boolean {
    touch(this, "write");
    return this.#loading.get(loading.offset) === loading;
  }

  /** From here on this object is the table at `offset`; a load of it gives way. */
  #add(offset: number, table: Table): Entry<Table> {
    assert(!this.#entries.has(offset), `table cache "${this.#options.name}": a second table at ${hex(offset)}`);
    this.#loading.delete(offset);
    const entry = new Entry(offset, table, ++this.#uses);
    this.#entries.set(offset, entry);
    this.#recency.add(entry);
    this.#overshoot = Math.max(this.#overshoot, this.#entries.size - this.#capacity);
    return entry;
  }

  /** Who waited for the table is there. What had to stay beside it until now may go. */
  #arrive(entry: Entry<Table>): void {
    entry.awaited = false;
    this.#awaitedCount--;
    if (this.#entries.size <= this.#capacity) return;
    entry.pins++;
    this.#evictFor(0);
    entry.pins--;
  }

  #use(entry: Entry<Table>): void {
    entry.lastUse = ++this.#uses;
    this.#recency.use(entry);
  }

  #unpin(entry: Entry<Table>): void {
    this.#assertLocked();
    entry.pins--;
    if (entry.pins === 0) this.#evictFor(0);
  }

  /** Evicts what may go, the least recently used first, until `count` more tables fit. */
  #evictFor(count: number): boolean {
    const limit = this.#capacity - count;
    for (let entry = this.#recency.oldest; entry !== undefined && this.#entries.size > limit;) {
      const next: Entry<Table> | undefined = entry.newer;
      if (isIdle(entry) && (!entry.awaited || this.#awaitedCount > mostAwaited)) this.#evict(entry);
      entry = next;
    }
    return this.#entries.size <= limit;
  }

  #hasDirtyToEvict(): boolean {
    for (const entry of this.#dirty) if (entry.pins === 0) return true;
    return false;
  }

  #evict(entry: Entry<Table>): void {
    this.#evictions++;
    this.#remove(entry);
  }

  #remove(entry: Entry<Table>): void {
    this.#entries.delete(entry.offset);
    this.#dirty.delete(entry);
    this.#recency.remove(entry);
    if (entry.awaited) this.#awaitedCount--;
  }

  /** The entry, if it is still the one that the cache holds: what was read before an await may be gone. */
  #own(entry: CachedTable<Table>): Entry<Table> {
    const own = this.#entries.get(entry.offset);
    if (own === undefined || own !== entry) {
      throw new Error(
        `assertion failed: table cache "${this.#options.name}": the table at ${hex(entry.offset)} is used after it left the cache`,
      );
    }
    return own;
  }

  #assertLocked(): void {
    touch(this, "write");
    if (!this.#lock.locked)
      throw new Error(`assertion failed: table cache "${this.#options.name}" is used without lock "${this.#lock.name}"`);
  }
}

class Entry<Table> implements CachedTable<Table>, RecencyLinks<Entry<Table>> {
  readonly kind = "table";
  readonly offset: number;
  readonly table: Table;
  dirty = false;
  pins = 0;
  /** Loaded for requests of which none has come back yet. */
  awaited = false;
  /** The cache's count of uses when it was used last. */
  lastUse: number;
  older: Entry<Table> | undefined;
  newer: Entry<Table> | undefined;

  constructor(offset: number, table: Table, lastUse: number) {
    this.offset = offset;
    this.table = table;
    this.lastUse = lastUse;
  }
}

interface Loading<Table> {
  readonly offset: number;
  readonly read: Promise<Table>;
  /** Made with its loader, when the first miss has to wait. */
  wait: Wait | undefined;
}

class Pin implements Disposable {
  #unpin: (() => void) | undefined;

  constructor(unpin: () => void) {
    this.#unpin = unpin;
  }

  [Symbol.dispose](): void {
    this.#unpin?.();
    this.#unpin = undefined;
  }
}

function isIdle(entry: CachedTable<unknown>): boolean {
  return !entry.dirty && entry.pins === 0;
}
