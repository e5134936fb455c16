/** Protections of QED, and of what it stands on in core. */

import type { Mutation, SourceEdit } from "../mutations.ts";

const TABLE_CACHE = "core/src/mapping/table-cache.ts";
const WRITER = "core/src/mapping/writer.ts";
const COPY = "core/src/mapping/copy-on-write.ts";
const TABLES = "qed/src/tables.ts";
const IMAGE = "qed/src/image.ts";
const FILE = "qed/src/qed-file.ts";
const NEED_CHECK = "qed/src/need-check.ts";
const IDLE_TASK = "core/src/coroutine/idle-task.ts";

const EVICTS_PINNED: SourceEdit = {
  file: TABLE_CACHE,
  find: "return !entry.dirty && entry.pins === 0;",
  replace: "return !entry.dirty;",
};

/** Two copies of one table: what shares them, what makes the second give way, and the assertion that would notice. */
const LOADED_TWICE: readonly SourceEdit[] = [
  {
    file: TABLE_CACHE,
    find: "this.#install(this.#loading.get(offset) ?? this.#beginLoading(offset, this.#read(offset)))",
    replace: "this.#install(this.#beginLoading(offset, this.#read(offset)))",
  },
  { file: TABLE_CACHE, find: "if (loading !== undefined) return this.#waitFor(loading);", replace: "" },
  { file: TABLE_CACHE, find: "return this.#loading.get(loading.offset) === loading;", replace: "return true;" },
  {
    file: TABLE_CACHE,
    find: 'assert(!this.#entries.has(offset), `table cache "${this.#options.name}": a second table at ${hex(offset)}`);',
    replace: "",
  },
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
    find: "await this.#child.write(offset + sectors.offset, sectors.bytes);",
    replace: "await this.lock.letGoDuring(() => this.#child.write(offset + sectors.offset, sectors.bytes));",
  },
];

/** Would notice that an entry changes which leads somewhere. */
const NO_ASSERTION: SourceEdit = {
  file: TABLES,
  find: "assert(table.entry(index) <= ZERO_CLUSTER, `entry ${index} of the table at ${hex(offset)} leads somewhere already`);",
  replace: "",
};

/** One live object for each table (QEMU, "qed: do not evict in-use L2 table cache entries"). */
const TABLES_IN_MEMORY: readonly Mutation[] = [
  {
    name: "cache-evicts-pinned",
    about: "the table cache evicts tables that are pinned",
    scenario: "table-cache-evict",
    by: "exhaustive",
    edits: [EVICTS_PINNED],
    found: /an update is lost: counter 0\.\d/u,
  },
  {
    name: "cache-forgets-pinned",
    about: "the same, where only the table itself is looked at",
    scenario: "table-cache-identity",
    by: "exhaustive",
    edits: [EVICTS_PINNED],
    found: /table 0 was replaced while its update was in flight/u,
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
    found: /1 leaked cluster|disk opened again: at offset/u,
  },
  {
    name: "qed-loads-twice",
    about: "an L2 table that several requests miss is loaded twice, and the second copy does not give way",
    scenario: "qed-two-misses",
    by: "exhaustive",
    edits: LOADED_TWICE,
    found: /1 leaked cluster|disk opened again: at offset/u,
  },
];

/** What was looked up before an await is used after it (QEMU, "qcow2: Bring synchronous read/write back to life"). */
const STALE_LOOKUPS: readonly Mutation[] = [
  {
    name: "qed-overlap-not-awaited",
    about: "an allocating write does not wait for one under way that overlaps with it",
    scenario: "qed-overlap",
    by: "exhaustive",
    edits: [
      { file: "core/src/mapping/range-claims.ts", find: "if (overlap(range, other.range)) return true;", replace: "" },
      { file: IMAGE, find: "readonly maxAllocations = 1;", replace: "readonly maxAllocations = 2;" },
      NO_ASSERTION,
    ],
    found: /leaked cluster|disk opened again: at offset/u,
  },
  {
    name: "qed-mapping-before-wait",
    about: "an allocating write that had to wait for its turn goes by the mapping that it looked up before",
    scenario: "qed-copy-up",
    by: "exhaustive",
    edits: [
      {
        file: WRITER,
        find: 'if (step.kind === "needs slot") await hold.takeSlot(options);',
        replace: `if (step.kind === "needs slot") {
          await hold.takeSlot(options);
          return await this.#startAllocating(offset, from, hold, pieces);
        }`,
      },
      NO_ASSERTION,
    ],
    found: /leaked cluster|disk opened again: at offset/u,
  },
  {
    name: "qed-copies-before-claim",
    about: "copy-on-write reads what it keeps before it claims the cluster",
    scenario: "qed-zero-beside-copy",
    by: "exhaustive",
    edits: [
      {
        file: WRITER,
        find: "return this.#writePieces(offset, from, options);",
        replace: "return this.readEarly(offset, from).then(() => this.#writePieces(offset, from, options));",
      },
      {
        file: WRITER,
        find: "  /** Calls the format's `prepareWrite` once",
        replace: `  early = new WeakMap();
  async readEarly(offset, from) {
    const { start, end } = this.claimRange(offset, from.length);
    const bytes = new Uint8Array(end - start);
    await this.#parts.reader.read(start, bytes);
    this.early.set(from.buffer, { start, bytes });
  }

  /** Calls the format's \`prepareWrite\` once`,
      },
      { file: WRITER, find: "const parts = { image:", replace: "const parts = { early: this.early.get(payload.bytes.buffer), image:" },
      { file: COPY, find: "|| (await mapsToZeros(parts, start, inside))", replace: "" },
      {
        file: COPY,
        find: "await parts.reader.read(start, bytes.subarray(0, inside), undefined);",
        replace: "bytes.set(parts.early.bytes.subarray(start - parts.early.start, start - parts.early.start + inside));",
      },
    ],
    found: /at offset \d+ there is/u,
  },
  {
    name: "core-links-before-data",
    about: "a new cluster is linked before its data is there",
    scenario: "qed-copy-up",
    by: "exhaustive",
    edits: [
      {
        file: WRITER,
        find: "const pending = started(writeData);\n    return pending === undefined ? this.#link(allocation) : this.#linkAfter(pending, allocation);",
        replace: "this.#parts.linking();\n    return this.#linkLater(allocation).then(writeData);",
      },
    ],
    found: /read of \d+ bytes at \d+|at offset \d+ there is/u,
  },
  {
    name: "core-nothing-serialises",
    about: "requests that read, change and write whole blocks do not wait for those that overlap",
    scenario: "raw-halves",
    by: "exhaustive",
    edits: [
      { file: "core/src/request/tracker.ts", find: "if (!request.serialising && !other.serialising) continue;", replace: "continue;" },
    ],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qed-nothing-serialises",
    about: "the same, below QED on a storage that takes whole blocks",
    scenario: "qed-halves",
    by: "exhaustive",
    edits: [
      { file: "core/src/request/tracker.ts", find: "if (!request.serialising && !other.serialising) continue;", replace: "continue;" },
    ],
    found: /at offset \d+ there is|corruptions/u,
  },
];

/** In which order things reach the disk. */
const ORDER: readonly Mutation[] = [
  {
    name: "qed-l1-before-flush",
    about: "the L1 entry of a new L2 table is written without a flush of the table",
    scenario: "qed-crash-overlay",
    by: "power-cut",
    edits: [
      {
        file: TABLES,
        find: "    await this.#child.flush();\n    await this.#update(this.#l1,",
        replace: "    await this.#update(this.#l1,",
      },
    ],
    found: /power cut \d+[^]*corruptions|power cut \d+[^]*at offset/u,
  },
  {
    name: "qed-no-data-barrier",
    about: "over a backing file the L2 entry is written without a flush of the data",
    scenario: "qed-crash-overlay",
    by: "power-cut",
    edits: [{ file: IMAGE, find: "if (this.backing !== undefined) await this.#context.dataBarrier();", replace: "" }],
    found: /power cut \d+[^]*corruptions|power cut \d+[^]*at offset/u,
  },
  {
    name: "qed-mark-after-change",
    about: "NEED_CHECK is set after the metadata was changed",
    scenario: "qed-crash",
    by: "power-cut",
    edits: [
      {
        file: NEED_CHECK,
        find: "      if (marked && !this.#file.needsCheck) await this.#file.setNeedCheck(true);\n      await change();",
        replace: "      await change();\n      if (marked && !this.#file.needsCheck) await this.#file.setNeedCheck(true);",
      },
    ],
    found: /power cut \d+[^]*before anyone repairs it: its check finds/u,
  },
  {
    name: "qed-mark-not-flushed",
    about: "NEED_CHECK is written without a flush",
    scenario: "qed-crash",
    by: "power-cut",
    edits: [{ file: FILE, find: "      await this.child.flush();\n", replace: "" }],
    found: /power cut \d+[^]*before anyone repairs it: its check finds/u,
  },
  {
    name: "qed-mark-cleared-unflushed",
    about: "NEED_CHECK is cleared without a flush of what it stood for",
    scenario: "qed-crash-drain",
    by: "power-cut",
    edits: [{ file: NEED_CHECK, find: "      await this.#file.child.flush();\n", replace: "" }],
    found: /power cut \d+[^]*before anyone repairs it: its check finds/u,
  },
  {
    name: "qed-mark-cleared-beside",
    about: "NEED_CHECK is cleared beside an allocating write",
    scenario: "qed-crash-timer",
    by: "power-cut",
    edits: [{ file: NEED_CHECK, find: 'await this.#context.exclusive(section, { block: "allocations" });', replace: "await section();" }],
    found: /power cut \d+[^]*before anyone repairs it: its check finds/u,
  },
  {
    name: "qed-tail-not-cleared",
    about: "what lies behind the last whole cluster of the file becomes part of a new one as it is",
    scenario: "qed-crash-ragged",
    by: "random",
    edits: [{ file: TABLES, find: "if (start < this.#child.size) {", replace: "if (start < 0) {" }],
    found: /at offset \d+ there is/u,
  },
];

/** What memory knows after an error. */
const FAILURES: readonly Mutation[] = [
  {
    name: "qed-memory-before-disk",
    about: "a table is changed in memory before the disk has the change",
    scenario: "qed-distrust",
    by: "exhaustive",
    edits: [
      {
        file: TABLES,
        find: "      const sectors = table.sectorsWith(run);\n",
        replace: "      const sectors = table.sectorsWith(run);\n      table.bytes.set(sectors.bytes, sectors.offset);\n",
      },
      { file: TABLES, find: "      cache.drop(offset);\n", replace: "" },
    ],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qed-table-kept-after-failure",
    about: "after a write of an L2 table that failed, memory goes on as if nothing of it were on the disk",
    scenario: "qed-short-table",
    by: "exhaustive",
    edits: [{ file: TABLES, find: "      cache.drop(offset);\n", replace: "      if (cache === this.#l1) cache.drop(offset);\n" }],
    found: /disk opened again: at offset \d+ there is/u,
  },
  {
    name: "qed-l1-kept-after-failure",
    about: "after a write of an L1 entry that failed, memory goes on as if nothing of it were on the disk",
    scenario: "qed-write-lost",
    by: "exhaustive",
    edits: [{ file: TABLES, find: "      cache.drop(offset);\n", replace: "      if (cache === this.#l2) cache.drop(offset);\n" }],
    found: /disk opened again: at offset \d+ there is/u,
  },
  {
    name: "qed-trusts-failed-write",
    about: "NEED_CHECK is cleared although a write of a table failed",
    scenario: "qed-distrust",
    by: "exhaustive",
    edits: [
      {
        file: NEED_CHECK,
        find: "      await change();\n    } catch (error) {\n      this.#stays = true;\n",
        replace: "      await change();\n    } catch (error) {\n",
      },
    ],
    found: /NEED_CHECK is clear, though an update of a table failed/u,
  },
];

/** The coroutine that clears NEED_CHECK. */
const TIMER: readonly Mutation[] = [
  {
    name: "qed-timer-outlives-close",
    about: "the coroutine that clears NEED_CHECK is neither woken nor awaited before the image is closed",
    scenario: "qed-timer-close",
    by: "exhaustive",
    edits: [{ file: IDLE_TASK, find: "    this.#sleep.wake();\n    await this.#coroutine;\n", replace: "" }],
    found: /left behind|after it was closed/u,
  },
  {
    name: "qed-timer-in-drain",
    about: "the coroutine that clears NEED_CHECK does not care whether the image is held quiet",
    scenario: "qed-timer-drain",
    by: "exhaustive",
    edits: [
      { file: IDLE_TASK, find: "return this.#holders === 0 && this.#options.isWanted();", replace: "return this.#options.isWanted();" },
      { file: IDLE_TASK, find: "    await this.#coroutine;\n", replace: "" },
      { file: NEED_CHECK, find: "    await this.#clear();\n    return held;", replace: "    return held;" },
    ],
    found: /drained/u,
  },
];

export const QED_MUTATIONS: readonly Mutation[] = [...TABLES_IN_MEMORY, ...STALE_LOOKUPS, ...ORDER, ...FAILURES, ...TIMER];
