/** The smallest user of a table cache: tables of counters in a file. The lock is let go while the update of a table is on its way. */

import { type BlockNode, type CachedTable, CoMutex, TableCache } from "@coblock/core";
import { type Lab, RunFailure } from "@coblock/testing";

const FILE = "sim:tables";
/** One sector, so that the update of one counter carries all others of its table. */
const TABLE_LENGTH = 512;

interface Pinned {
  readonly entry: CachedTable<Uint8Array>;
  readonly pin: Disposable;
}

/** How an update gets its table: `get` waits for a miss without the lock, `fetch` keeps the lock all the while. */
export type Access = "get" | "fetch";

/** Memory changes when the disk has. One update at a time, lookups beside. */
export class CounterTables {
  readonly #lab: Lab;
  readonly #file: BlockNode;
  readonly #lock: CoMutex;
  readonly #turn: CoMutex;
  readonly #cache: TableCache<Uint8Array>;
  readonly #expected: Map<string, number> = new Map();
  /** Tables that were replaced while their update was in flight. */
  readonly #replaced: string[] = [];

  private constructor(lab: Lab, file: BlockNode, capacity: number) {
    this.#lab = lab;
    this.#file = file;
    this.#lock = lab.watchLock(new CoMutex("cache lock", lab.clock));
    this.#turn = lab.watchLock(new CoMutex("update turn", lab.clock));
    this.#cache = new TableCache({ name: "counters", lock: this.#lock, capacity, load: (offset) => this.#load(offset) });
  }

  /** A file of `tables` tables, all counters 0. */
  static async open(lab: Lab, options: { readonly tables: number; readonly capacity: number }): Promise<CounterTables> {
    await lab.file(FILE, () => Promise.resolve(new Uint8Array(options.tables * TABLE_LENGTH)));
    return new CounterTables(lab, await lab.graph.open({ driver: "raw", file: FILE }), options.capacity);
  }

  async increment(table: number, counter: number, access: Access = "get"): Promise<void> {
    using _turn = await this.#turn.lock({ who: `increment ${table}.${counter}` });
    const { entry, pin } = await this.#pinned(table, access);
    const changed = entry.table.slice();
    changed[counter] = (changed[counter] ?? 0) + 1;
    await this.#file.write(entry.offset, changed);
    using _held = await this.#lock.lock({ who: `end of increment ${table}.${counter}` });
    if (this.#cache.find(entry.offset) !== entry) this.#replaced.push(`table ${table} was replaced while its update was in flight`);
    entry.table.set(changed);
    pin[Symbol.dispose]();
    this.#expected.set(`${table}.${counter}`, this.#expectedOf(table, counter) + 1);
  }

  /** Throws where the counter is below what it was when this began. */
  async look(table: number, counter: number): Promise<void> {
    const before = this.#expectedOf(table, counter);
    const { entry, pin } = await this.#pinned(table, "get");
    const seen = entry.table[counter] ?? 0;
    using _held = await this.#lock.lock({ who: `end of look at ${table}.${counter}` });
    pin[Symbol.dispose]();
    if (seen < before) throw new RunFailure("wrong", `counter ${table}.${counter} is seen as ${seen}, and was ${before}`);
  }

  /** Throws where an update is not in the file. */
  async expectNoLostUpdate(): Promise<void> {
    const bytes = this.#lab.storage.contentOf(FILE);
    for (const [name, expected] of this.#expected) {
      const [table = 0, counter = 0] = name.split(".").map(Number);
      const found = bytes[table * TABLE_LENGTH + counter] ?? 0;
      if (found !== expected)
        throw new RunFailure("wrong", `an update is lost: counter ${name} is ${found} in the file, and was incremented to ${expected}`);
    }
  }

  /** Throws where a table was not the same object all the while its update was in flight. */
  async expectNoneReplaced(): Promise<void> {
    if (this.#replaced.length > 0) throw new RunFailure("wrong", this.#replaced.join("\n  "));
  }

  #expectedOf(table: number, counter: number): number {
    return this.#expected.get(`${table}.${counter}`) ?? 0;
  }

  async #pinned(table: number, access: Access): Promise<Pinned> {
    const offset = table * TABLE_LENGTH;
    for (;;) {
      const found = await this.#lookUp(offset, access);
      if (!("kind" in found)) return found;
      await found.until;
    }
  }

  async #lookUp(offset: number, access: Access): Promise<Pinned | Extract<ReturnType<TableCache<Uint8Array>["get"]>, { kind: "wait" }>> {
    using _held = await this.#lock.lock({ who: `${access} of table ${offset / TABLE_LENGTH}` });
    const found = access === "fetch" ? await this.#cache.fetch(offset) : this.#cache.get(offset);
    return found.kind === "wait" ? found : { entry: found, pin: this.#cache.pin(found) };
  }

  async #load(offset: number): Promise<Uint8Array> {
    const table = new Uint8Array(TABLE_LENGTH);
    await this.#file.read(offset, table);
    return table;
  }
}
