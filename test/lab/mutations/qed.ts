/** Protections of QED, and of what it stands on in core. */

import type { Mutation, SourceEdit } from "../mutations.ts";

const TABLE_CACHE = "core/src/mapping/table-cache.ts";
const TABLES = "qed/src/tables.ts";

const EVICTS_PINNED: SourceEdit = {
  file: TABLE_CACHE,
  find: "return !entry.dirty && entry.pins === 0;",
  replace: "return !entry.dirty;",
};

/** Two copies of one table: what shares them, what makes the second give way, and the assertion that would notice. */
const LOADED_TWICE: readonly SourceEdit[] = [
  { file: TABLE_CACHE, find: "this.#install(this.#loading.get(offset) ?? this.#beginLoading(offset, this.#read(offset)))", replace: "this.#install(this.#beginLoading(offset, this.#read(offset)))" },
  { file: TABLE_CACHE, find: "if (loading !== undefined) return this.#waitFor(loading);", replace: "" },
  { file: TABLE_CACHE, find: "return this.#loading.get(loading.offset) === loading;", replace: "return true;" },
  { file: TABLE_CACHE, find: "assert(!this.#entries.has(offset), `table cache \"${this.#options.name}\": a second table at ${hex(offset)}`);", replace: "" },
];

/** As QED once was: the lock is let go while the update of a table is on its way. */
const LOCK_LET_GO: readonly SourceEdit[] = [
  {
    file: "core/src/coroutine/mutex.ts",
    find: "  inspect(): LockReport {",
    replace: `  async letGoDuring(work) {
    const held = this.#holder;
    held.suspend();
    try { await work(); } finally { await held.resume(); }
  }

  inspect(): LockReport {`,
  },
  { file: TABLES, find: "    this.#child = child;", replace: "    this.lock = lock;\n    this.#child = child;" },
  {
    file: TABLES,
    find: "await this.#child.write(tableOffset + sectors.offset, sectors.bytes);",
    replace: "await this.lock.letGoDuring(() => this.#child.write(tableOffset + sectors.offset, sectors.bytes));",
  },
];

export const QED_MUTATIONS: readonly Mutation[] = [
  {
    name: "cache-evicts-pinned",
    about: "the table cache evicts tables that are pinned",
    scenario: "table-cache-evict",
    by: "exhaustive",
    edits: [EVICTS_PINNED],
    found: /an update is lost: counter 0\.\d/u,
  },
  {
    name: "cache-loads-twice",
    about: "a table that two requests miss is loaded twice, and the second copy does not give way",
    scenario: "table-cache-twice",
    by: "exhaustive",
    edits: LOADED_TWICE,
    found: /an update is lost: counter 0\.\d/u,
  },
  {
    name: "qed-evicts-in-use",
    about: "QED lets its lock go while the update of an L2 table is on its way, and the table may be evicted meanwhile",
    scenario: "qed-evict",
    by: "exhaustive",
    edits: [EVICTS_PINNED, ...LOCK_LET_GO],
    found: /disk opened again/u,
  },
];
