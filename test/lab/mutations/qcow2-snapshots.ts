/** Protections of internal snapshots. */

import type { Mutation } from "../mutations.ts";

const CREATE = "qcow2/src/snapshots/create-snapshot.ts";
const APPLY = "qcow2/src/snapshots/apply-snapshot.ts";
const DELETE = "qcow2/src/snapshots/delete-snapshot.ts";
const TREE = "qcow2/src/snapshots/tree-references.ts";

/** Requests beside. */
const BESIDE: readonly Mutation[] = [
  {
    name: "qcow2-snapshot-not-exclusive",
    about: "a snapshot is made while requests go on: a write that looked its cluster up before lands in it after",
    scenario: "qcow2-snapshot-in-place",
    by: "exhaustive",
    edits: [{ file: "core/src/snapshots.ts", find: "return exclusive(() => change(snapshots));", replace: "return change(snapshots);" }],
    found: /the snapshot 'one' was changed at offset/u,
  },
  {
    name: "qcow2-snapshot-not-drained",
    about: "new requests wait for a snapshot, and it does not wait for those in flight",
    scenario: "qcow2-snapshot-beside",
    by: "random",
    edits: [
      {
        file: "core/src/node.ts",
        find: "    using _gate = gate.close();\n    await gate.idle(options);",
        replace: "    using _gate = gate.close();",
      },
    ],
    found: /was changed at offset|corruptions|leaks|at offset \d+ there is/u,
  },
  {
    name: "qcow2-snapshot-copied-stays",
    about: "clusters that a new snapshot shares are still called the disk's own",
    scenario: "qcow2-snapshot-life",
    by: "exhaustive",
    edits: [{ file: CREATE, find: "    await clearCopied(metadata, tree);\n", replace: "" }],
    found: /was changed at offset|corruptions|is in use, but its refcount is 0/u,
  },
  {
    name: "qcow2-snapshot-table-stays",
    about: "an L2 table that only a deleted snapshot had stays in the cache, and its place is used again",
    scenario: "qcow2-snapshot-reuse",
    by: "exhaustive",
    edits: [{ file: TREE, find: "if (cluster === clusterOf(geometry, branch.offset)) l2.dropTable(branch.offset);", replace: "" }],
    found: /a second table at|at offset \d+ there is|corruptions/u,
  },
];

/** Refcounts and the flag that follows from them. */
const COUNTS: readonly Mutation[] = [
  {
    name: "qcow2-snapshot-not-counted",
    about: "a new snapshot adds no references",
    scenario: "qcow2-snapshot-life",
    by: "exhaustive",
    edits: [{ file: CREATE, find: "    await references.raise();\n", replace: "" }],
    found: /corruptions|is in use, but its refcount is 0|reserved bits are set/u,
  },
  {
    name: "qcow2-snapshot-not-given-up",
    about: "what a deleted snapshot alone had is never free again",
    scenario: "qcow2-snapshot-life",
    by: "exhaustive",
    edits: [{ file: TREE, find: "references.commit({ owned: joined(owned), shared: new Map() }, by);", replace: "" }],
    found: /[1-9]\d* leaks/u,
  },
  {
    name: "qcow2-snapshot-not-owned-again",
    about: "clusters are not called the disk's own again when the last snapshot is deleted",
    scenario: "qcow2-snapshot-life",
    by: "exhaustive",
    edits: [{ file: DELETE, find: "  await restoreCopied(metadata, writable);\n", replace: "" }],
    found: /OFLAG_COPIED/u,
  },
];

/** What is on disk when the header is written, and what is done when that fails. */
const ORDER: readonly Mutation[] = [
  {
    name: "qcow2-snapshot-counted-before-flags",
    about: "refcounts rise before it is on disk that clusters are shared",
    scenario: "qcow2-snapshot-life",
    by: "power-cut",
    edits: [
      {
        file: CREATE,
        find: "    await writable.writeOut.all();\n    await file.flush();\n    await references.raise();",
        replace: "    await references.raise();",
      },
    ],
    found: /OFLAG_COPIED/u,
  },
  {
    name: "qcow2-snapshot-listed-early",
    about: "the header points to a new snapshot before that is on disk",
    scenario: "qcow2-snapshot-life",
    by: "power-cut",
    edits: [
      {
        file: CREATE,
        find: "    await writable.writeOut.all();\n    await file.flush();\n    return { snapshot, list };",
        replace: "    return { snapshot, list };",
      },
    ],
    found: /corruptions|snapshot|was changed/u,
  },
  {
    name: "qcow2-snapshot-applied-early",
    about: "the header points to the L1 table of a snapshot before the refcounts and the table are on disk",
    scenario: "qcow2-snapshot-life",
    by: "power-cut",
    edits: [
      {
        file: APPLY,
        find: "    await writable.writeOut.all();\n    await file.flush();\n    return l1Offset;",
        replace: "    return l1Offset;",
      },
    ],
    found: /corruptions|at offset \d+ there is/u,
  },
  {
    name: "qcow2-snapshot-given-up-early",
    about: "the references of a snapshot are given up while the list on disk still has it",
    scenario: "qcow2-snapshot-life",
    by: "power-cut",
    edits: [
      {
        file: DELETE,
        find: '  await switchList(change, await orUndo(prepare, [() => tables.giveBack()]));\n  await dropTree(metadata, writable, tree, "snapshot");',
        replace: `  const list = await prepare();
  await dropTree(metadata, writable, tree, "snapshot");
  await writable.writeOut.all();
  await file.flush();
  await switchList(change, list);`,
      },
    ],
    found: /corruptions/u,
  },
  {
    name: "qcow2-snapshot-switch-forgotten",
    about: "the image goes on when nobody knows whether the header was written",
    scenario: "qcow2-snapshot-unheard",
    by: "exhaustive",
    edits: [
      {
        file: "qcow2/src/metadata/image-file.ts",
        find: "offset: at, cause });\n      this.#fail(error);",
        replace: "offset: at, cause });",
      },
    ],
    found: /at offset \d+ there is|corruptions|the image lists/u,
  },
];

export const QCOW2_SNAPSHOT_MUTATIONS: readonly Mutation[] = [...BESIDE, ...COUNTS, ...ORDER];
