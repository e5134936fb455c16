/** Protections of qcow2's refcounts: where they stay behind, and where a disk shrinks. */

import type { Mutation } from "../mutations.ts";

const WRITE_OUT = "qcow2/src/metadata/write-out.ts";

/** What tables on disk lead to is counted, or the image says that it is not. */
export const QCOW2_REFCOUNT_MUTATIONS: readonly Mutation[] = [
  {
    name: "qcow2-marked-too-late",
    about: "the image says that its refcounts are behind when the tables that need them are written already",
    scenario: "qcow2-lazy",
    by: "power-cut",
    edits: [
      {
        file: WRITE_OUT,
        find: "if (this.#lazy && refcounts.dirty) await file.markDirty();",
        replace: "if (this.#lazy && refcounts.dirty) void file;",
      },
      {
        file: WRITE_OUT,
        find: "if (!file.countsBehind) await this.refcounts();",
        replace: "if (this.#lazy && this.#parts.refcounts.dirty) await file.markDirty();",
      },
    ],
    found: /before anyone repairs it: its check finds 0 errors, [1-9]\d* corruptions/u,
  },
  {
    name: "qcow2-shrink-lowered-too-early",
    about: "a disk that shrinks gives up its references while the L1 table on disk still leads to them",
    scenario: "qcow2-shrink",
    by: "power-cut",
    edits: [{ file: "qcow2/src/image/shrink.ts", find: "await flush();\n  await dropTree(", replace: "await dropTree(" }],
    found: /its check finds 0 errors, [1-9]\d* corruptions/u,
  },
];
