/** Protections of commit and rebase. */

import type { Mutation } from "../mutations.ts";

const COMMIT = "core/src/jobs/commit.ts";
const REBASE = "core/src/jobs/rebase.ts";

export const JOB_MUTATIONS: readonly Mutation[] = [
  {
    name: "commit-empties-unflushed",
    about: "the overlay gives up what the base does not have on stable storage yet",
    scenario: "qcow2-commit-storm",
    by: "power-cut",
    edits: [
      { file: COMMIT, find: "if (!this.#empties) return false;\n    await base.flush();", replace: "if (!this.#empties) return false;" },
    ],
    found: /after the cut/,
  },
  {
    name: "commit-beside-writes",
    about: "writes go on in a part of the overlay that is being copied and given up",
    scenario: "qcow2-commit",
    by: "random",
    edits: [
      {
        file: COMMIT,
        find: "emptied = (await overlay.exclusive(() => this.#commit(window), { signal })) && emptied;",
        replace: "emptied = (await this.#commit(window)) && emptied;",
      },
    ],
    found: /wrong/,
  },
  {
    name: "rebase-beside-writes",
    about: "writes go on in a part of the overlay that is being compared and kept",
    scenario: "qed-rebase",
    by: "exhaustive",
    edits: [
      { file: REBASE, find: "await overlay.exclusive(() => this.#rebase(window), { signal });", replace: "await this.#rebase(window);" },
    ],
    found: /wrong/,
  },
  {
    name: "rebase-names-unflushed",
    about: "the image names its new backing file before what differs is in it on stable storage",
    scenario: "qcow2-rebase",
    by: "power-cut",
    edits: [
      {
        file: "core/src/mapping/engine.ts",
        find: "await this.#flushAndSettle();\n    await this.#image.changeBacking?.(named, child);",
        replace: "await this.#image.changeBacking?.(named, child);",
      },
    ],
    found: /after the cut/,
  },
];
