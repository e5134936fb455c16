/** Protections of clusters that keep their place when they are discarded. */

import type { Mutation } from "../mutations.ts";

const RETIRED = "core/src/mapping/retired-space.ts";

/** What the host is given is nobody's, on disk and in flight. */
export const QCOW2_PLACE_MUTATIONS: readonly Mutation[] = [
  {
    name: "qcow2-place-given-again",
    about: "the host is given a cluster that was written again after its discard",
    scenario: "qcow2-kept-place",
    by: "exhaustive",
    edits: [
      {
        file: "core/src/mapping/writer.ts",
        find: "await this.#parts.retired.refill({ child, childOffset, length: request.storedLength ?? length });",
        replace: "void [child, childOffset, length];",
      },
    ],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qcow2-place-not-awaited",
    about: "a cluster is written while the host is still given what was there",
    scenario: "qcow2-kept-place",
    by: "exhaustive",
    edits: [
      {
        file: RETIRED,
        find: "return this.#emptying.some((other) => meet(other, span)) ? this.#untilEmptied(span) : undefined;",
        replace: "return undefined;",
      },
    ],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qcow2-place-before-flush",
    about: "the host is given what the table on disk still shows",
    scenario: "qcow2-kept-place",
    by: "power-cut",
    edits: [{ file: RETIRED, find: "if (entry.flush <= this.#flushed && ended) {", replace: "if (ended) {" }],
    found: /after the cut: at offset \d+ there is/u,
  },
  {
    name: "qcow2-place-under-read",
    about: "the host is given what a read that began before is still reading",
    scenario: "qcow2-kept-place",
    by: "exhaustive",
    edits: [{ file: RETIRED, find: "if (entry.flush <= this.#flushed && ended) {", replace: "if (entry.flush <= this.#flushed) {" }],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qcow2-place-of-snapshot",
    about: "the host is given clusters that a snapshot reads",
    scenario: "qcow2-storm-places",
    by: "random",
    edits: [{ file: "qcow2/src/image/emptied-space.ts", find: "(!keepsPlace || !isCopied(high))", replace: "(!keepsPlace || high < 0)" }],
    found: /belongs to the snapshot, and was changed/u,
  },
  {
    name: "qcow2-place-written-at-once",
    about: "a write that allocates in the turn of its lookup does not wait until the host has been given its place",
    scenario: "qcow2-prompt-kept-place",
    by: "exhaustive",
    edits: [
      {
        file: "core/src/mapping/writer.ts",
        find: "emptied === undefined ? write() : emptied.then(write)",
        replace: "write()",
      },
    ],
    found: /at offset \d+ there is|while it is in use/u,
  },
];
