/** Protections of qcow2's cache cleaner: what it leaves alone, and how it is stopped. */

import type { Mutation, SourceEdit } from "../mutations.ts";

const TABLE_CACHE = "core/src/mapping/table-cache.ts";
const CLEANER = "qcow2/src/metadata/cache-cleaner.ts";
const CONTROL = "qcow2/src/image/cache-control.ts";

const NO_WAIT: SourceEdit = {
  file: CLEANER,
  find: "    while (this.#running) await (held === undefined ? this.#exit.waitUnlocked() : this.#exit.wait(held));\n",
  replace: "    if (held === undefined) this.#exit.wakeOne();\n",
};

const ROUND = "if (isIdle(entry) && entry.lastUse <= this.#usesBefore) this.#evict(entry);";

export const QCOW2_CLEANER_MUTATIONS: readonly Mutation[] = [
  {
    name: "qcow2-cleaner-ignores-pins",
    about: "the cleaner drops a table that a request is about to change",
    scenario: "qcow2-cleaner-beside",
    by: "exhaustive",
    edits: [{ file: TABLE_CACHE, find: ROUND, replace: ROUND.replace("isIdle(entry)", "!entry.dirty") }],
    found: /after it left the cache/u,
  },
  {
    name: "qcow2-cleaner-ignores-dirty",
    about: "the cleaner drops a table that the disk does not have yet",
    scenario: "qcow2-cleaner-beside",
    by: "exhaustive",
    edits: [{ file: TABLE_CACHE, find: ROUND, replace: ROUND.replace("isIdle(entry)", "entry.pins === 0") }],
    found: /at offset \d+ there is|corruptions|leaks/u,
  },
  {
    name: "qcow2-cleaner-no-lock",
    about: "the cleaner lets the driver lock go before it looks at the caches",
    scenario: "qcow2-cleaner-beside",
    by: "exhaustive",
    edits: [
      {
        file: CLEANER,
        find: 'using guard = await this.#state.lock({ who: "cache cleaner" });',
        replace: "const held = await this.#state.lock();\n    const guard = { value: held.value };\n    held[Symbol.dispose]();",
      },
    ],
    found: /is used without lock/u,
  },
  {
    name: "qcow2-cleaner-outlives-close",
    about: "the cleaner is not stopped when the image is closed",
    scenario: "qcow2-cleaner-close",
    by: "exhaustive",
    edits: [
      {
        file: CONTROL,
        find: "    const stopped = await this.#cleaner.stop();\n",
        replace: "    const stopped = { [Symbol.dispose]: () => {} };\n",
      },
    ],
    found: /closed: 1 cleaners sleep/u,
  },
  {
    name: "qcow2-cleaner-in-drain",
    about: "the cleaner is not stopped when the image is drained",
    scenario: "qcow2-cleaner-drain",
    by: "exhaustive",
    edits: [
      {
        file: CONTROL,
        find: "    const stopped = await this.#cleaner.stop();\n",
        replace: "    const stopped = { [Symbol.dispose]: () => {} };\n",
      },
    ],
    found: /drained: 1 cleaners sleep/u,
  },
  {
    name: "qcow2-cleaner-stop-no-wait",
    about: "who stops the cleaner does not wait until it has left",
    scenario: "qcow2-cleaner-drain",
    by: "exhaustive",
    edits: [NO_WAIT],
    found: /a second cache cleaner starts/u,
  },
  {
    name: "qcow2-cleaner-twice",
    about: "who stops the cleaner does not wait until it has left, and the next one starts beside it",
    scenario: "qcow2-cleaner-drain",
    by: "exhaustive",
    edits: [NO_WAIT, { file: CLEANER, find: '    assert(!this.#running, "a second cache cleaner starts");\n', replace: "" }],
    found: /two coroutines sleep in one CoSleep|cleaners sleep/u,
  },
  {
    name: "qcow2-cleaner-not-woken",
    about: "who stops the cleaner waits for the end of its sleep",
    scenario: "qcow2-cleaner-close",
    by: "exhaustive",
    edits: [{ file: CLEANER, find: "    this.#sleep.wake();\n", replace: "" }],
    found: /does not end/u,
  },
  {
    name: "qcow2-cleaner-leaves-silently",
    about: "the cleaner leaves and wakes nobody",
    scenario: "qcow2-cleaner-close",
    by: "exhaustive",
    edits: [{ file: CLEANER, find: "      this.#exit.wakeAll();\n", replace: "" }],
    found: /does not end/u,
  },
  {
    name: "qcow2-cleaner-in-reopen",
    about: "caches are replaced while the cleaner runs",
    scenario: "qcow2-cleaner-reopen",
    by: "exhaustive",
    edits: [
      {
        file: CONTROL,
        find: "    const stopped = await this.#cleaner.stop(guard);\n",
        replace: "    const stopped = { [Symbol.dispose]: () => {} };\n",
      },
    ],
    found: /the interval of a cache cleaner changes while it runs/u,
  },
  {
    name: "qcow2-cleaner-stop-keeps-lock",
    about: "who stops the cleaner keeps the driver lock while the cleaner waits for it",
    scenario: "qcow2-cleaner-reopen",
    by: "exhaustive",
    edits: [
      {
        file: CLEANER,
        find: "await (held === undefined ? this.#exit.waitUnlocked() : this.#exit.wait(held));",
        replace: "await this.#exit.waitUnlocked();",
      },
    ],
    found: /nothing can happen any more/u,
  },
  {
    name: "qcow2-cleaner-abort-forgets",
    about: "a reopen that is aborted leaves the cleaner stopped",
    scenario: "qcow2-cleaner-abort",
    by: "exhaustive",
    edits: [{ file: CONTROL, find: "abort: async () => stopped[Symbol.dispose](),", replace: "abort: async () => {}," }],
    found: /aborted: 0 cleaners sleep/u,
  },
];
