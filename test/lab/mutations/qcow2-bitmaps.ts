/** Protections of persistent bitmaps. */

import type { Mutation } from "../mutations.ts";

const BITMAPS = "qcow2/src/bitmaps/persistent-bitmaps.ts";
const CHANGE = "qcow2/src/bitmaps/bitmap-directory-change.ts";

export const QCOW2_BITMAP_MUTATIONS: readonly Mutation[] = [
  {
    name: "qcow2-bitmap-marked-late",
    about: "the mark that a bitmap is in use may reach the disk after the first change that it follows",
    scenario: "qcow2-bitmap-life",
    by: "power-cut",
    edits: [{ file: BITMAPS, find: "    await file.flush();\n    this.#owner.changed(", replace: "    this.#owner.changed(" }],
    found: /says that nothing has changed|was closed with other bitmaps/u,
  },
  {
    name: "qcow2-bitmap-not-marked",
    about: "bitmaps that follow changes are not marked as in use before the first one",
    scenario: "qcow2-bitmap-life",
    by: "power-cut",
    edits: [{ file: "qcow2/src/image/image.ts", find: "    await this.#bitmaps.markFollowing(metadata);\n", replace: "" }],
    found: /says that nothing has changed|was closed with other bitmaps/u,
  },
  {
    name: "qcow2-bitmap-listed-early",
    about: "the header points to a new directory before that and what it leads to are on disk",
    scenario: "qcow2-bitmap-life",
    by: "power-cut",
    edits: [
      {
        file: CHANGE,
        find: "    await writable.writeOut.all();\n    await file.flush();\n    return { bitmaps, extension, header };",
        replace: "    return { bitmaps, extension, header };",
      },
    ],
    found: /bitmap|the check finds/u,
  },
  {
    name: "qcow2-bitmap-changed-unmarked",
    about: "a bitmap that is changed by hand is not marked, so that nobody writes it back",
    scenario: "qcow2-bitmap-life",
    by: "exhaustive",
    edits: [{ file: BITMAPS, find: "await this.#markInUse(guard.value, ({ name }) => name === bitmap.name);", replace: "" }],
    found: /was closed with other bitmaps/u,
  },
  {
    name: "qcow2-bitmap-outgrown",
    about: "bitmaps that follow nothing are not written back for a disk of another size",
    scenario: "qcow2-bitmap-life",
    by: "exhaustive",
    edits: [{ file: "qcow2/src/image/image.ts", find: "    await this.#bitmaps.markAll();\n", replace: "" }],
    found: /has a table of \d+ entries|was closed with other bitmaps/u,
  },
  {
    name: "qcow2-bitmap-not-given-up",
    about: "the space that bitmaps had before they were written back is never free again",
    scenario: "qcow2-bitmap-life",
    by: "exhaustive",
    edits: [
      {
        file: CHANGE,
        find: "  for (const { first, count } of unused) writable",
        replace: "  for (const { first, count } of unused.slice(0, 0)) writable",
      },
    ],
    found: /Leaked cluster/u,
  },
  {
    name: "qcow2-bitmap-enabled-unfollowed",
    about: "a bitmap that is enabled while requests run does not follow them",
    scenario: "qcow2-bitmap-requests",
    by: "random",
    edits: [
      {
        file: "core/src/bitmap/node-bitmaps.ts",
        find: "      bitmap.setEnabled(enabled);\n      this.#follow();\n",
        replace: "      bitmap.setEnabled(enabled);\n",
      },
    ],
    found: /says that nothing has changed|never followed/u,
  },
];
