/** Protections of qcow2, and of what it stands on in core. */

import type { Mutation, SourceEdit } from "../mutations.ts";

const WRITE_OUT = "qcow2/src/metadata/write-out.ts";
const REFERENCES = "qcow2/src/metadata/references.ts";
const GROWTH = "qcow2/src/metadata/refcount-table-growth.ts";
const IMAGE_FILE = "qcow2/src/metadata/image-file.ts";
const ENGINE = "core/src/mapping/engine.ts";
const WRITER = "core/src/mapping/writer.ts";
const TABLE_CACHE = "core/src/mapping/table-cache.ts";
const FLUSH_SHARE = "core/src/request/flush-share.ts";
const RETIRED = "core/src/mapping/retired-space.ts";

/** Two copies of one table: what shares them, what makes the second give way, and the assertion that would notice. */
const LOADED_TWICE: readonly SourceEdit[] = [
  { file: TABLE_CACHE, find: "if (loading !== undefined) return this.#waitFor(loading);", replace: "" },
  { file: TABLE_CACHE, find: "return this.#loading.get(loading.offset) === loading;", replace: "return true;" },
  {
    file: TABLE_CACHE,
    find: 'assert(!this.#entries.has(offset), `table cache "${this.#options.name}": a second table at ${hex(offset)}`);',
    replace: "",
  },
];

const ZERO_SHARES_CLAIM: SourceEdit = {
  file: "core/src/mapping/zeroer.ts",
  find: 'if (!hold.tryClaim(range, "exclusive")) await hold.takeClaim(range, "exclusive", options);',
  replace: 'hold.tryClaim(range, "exclusive");',
};

/** What was looked up before a wait is used after it. */
const STALE_MAPPING: readonly SourceEdit[] = [
  {
    file: WRITER,
    find: 'return { kind: "needs claim", range, mode: "shared" };',
    replace: 'return { kind: "needs claim", range, mode: "shared", mapping };',
  },
  {
    file: WRITER,
    find: 'else if (step.kind === "needs claim") await hold.takeClaim(step.range, step.mode, options);',
    replace: `else if (step.kind === "needs claim") {
          await hold.takeClaim(step.range, step.mode, options);
          if (step.mapping === undefined) continue;
          const { length } = step.mapping;
          pieces.follow(this.#until(this.#writeData(step.mapping, offset, from.subarray(0, length)), hold));
          return length;
        }`,
  },
];

/** In which order things reach the disk. */
const ORDER: readonly Mutation[] = [
  {
    name: "qcow2-l2-before-refcounts",
    about: "L2 tables are written before the refcounts of what they point to",
    scenario: "qcow2-new-tables",
    by: "power-cut",
    edits: [
      {
        file: WRITE_OUT,
        find: "if (dirty.length === 0) return;\n    await this.#countsFirst();",
        replace: "if (dirty.length === 0) return;",
      },
    ],
    found: /before anyone repairs it: its check finds 0 errors, [1-9]\d* corruptions/u,
  },
  {
    name: "qcow2-l2-before-data",
    about: "L2 tables are written without a flush of the data that they point to",
    scenario: "qcow2-reserved",
    by: "power-cut",
    edits: [{ file: WRITE_OUT, find: "await dataBarrier();", replace: "" }],
    found: /after the cut: at offset \d+ there is/u,
  },
  {
    name: "qcow2-links-counted-late",
    about: "a flush counts as covering data that was linked while it was on its way",
    scenario: "qcow2-reserved",
    by: "power-cut",
    edits: [
      { file: ENGINE, find: "this.#services.flushedLinks(covered.links);", replace: "this.#services.flushedLinks(this.#services.links);" },
    ],
    found: /after the cut: at offset \d+ there is/u,
  },
  {
    name: "qcow2-links-counted-early",
    about: "data counts as linked before it is written, so that a flush beside seems to cover it",
    scenario: "qcow2-slow-data",
    by: "power-cut",
    edits: [
      { file: WRITER, find: "    this.#parts.linking();\n", replace: "" },
      {
        file: WRITER,
        find: "const pending = started(writeData);",
        replace: "this.#parts.linking();\n    const pending = started(writeData);",
      },
    ],
    found: /after the cut: at offset \d+ there is/u,
  },
  {
    name: "qcow2-flush-joins-late",
    about: "a flush takes part in one that began before its own writes had completed",
    scenario: "qcow2-reuse-beside",
    by: "power-cut",
    edits: [
      {
        file: FLUSH_SHARE,
        find: "if (this.#running.covers === this.#changes) return this.#running.done;",
        replace: "if (this.#changes > 0) return this.#running.done;",
      },
    ],
    found: /after the cut: at offset \d+ there is/u,
  },
  {
    name: "qcow2-flush-covers-later",
    about: "a flush counts as covering what was written while it was on its way",
    scenario: "qcow2-reserved",
    by: "power-cut",
    edits: [{ file: FLUSH_SHARE, find: "this.#flushed = covers;", replace: "this.#flushed = this.#changes;" }],
    found: /after the cut: at offset \d+ there is/u,
  },
  {
    name: "qcow2-l1-before-l2",
    about: "the L1 table is written without a flush of the L2 tables that it points to",
    scenario: "qcow2-storm-shared",
    by: "power-cut",
    edits: [
      {
        file: WRITE_OUT,
        find: "if (l1.table.dirty) {\n      await this.#countsFirst();\n      await this.#flush();",
        replace: "if (l1.table.dirty) {\n      await this.#countsFirst();",
      },
    ],
    found: /after the cut: at offset \d+ there is|corruptions/u,
  },
  {
    name: "qcow2-lowered-too-early",
    about: "refcounts are lowered on disk before the tables that dropped the references are there for good",
    scenario: "qcow2-storm-shared",
    by: "power-cut",
    edits: [{ file: WRITE_OUT, find: "await this.#flush();\n      await references.settle();", replace: "await references.settle();" }],
    found: /its check finds 0 errors, [1-9]\d* corruptions/u,
  },
  {
    name: "qcow2-growth-no-flush",
    about: "the header points to a new refcount table that may not be on disk yet",
    scenario: "qcow2-growth",
    by: "power-cut",
    edits: [{ file: GROWTH, find: "table.clean();\n  await file.flush();", replace: "table.clean();" }],
    found: /corruptions|refcount/u,
  },
  {
    name: "qcow2-switch-goes-on",
    about: "the image goes on with the old L1 table where the switch to the new one was told as failed",
    scenario: "qcow2-resize-unheard",
    by: "exhaustive",
    edits: [
      {
        file: IMAGE_FILE,
        find: "return this.#switchOrFail(HEADER_AT.l1, encodeL1Switch(entries, offset));",
        replace: "return this.child.write(HEADER_AT.l1, encodeL1Switch(entries, offset)).then(() => this.child.flush());",
      },
    ],
    found: /at offset/u,
  },
];

/** When space may be used again. */
const REUSE: readonly Mutation[] = [
  {
    name: "qcow2-reuse-no-epoch",
    about: "freed clusters are given back while I/O that began before is still in flight on them",
    scenario: "qcow2-reuse-read",
    by: "exhaustive",
    edits: [{ file: RETIRED, find: "if (entry.flush <= this.#flushed && ended) {", replace: "if (entry.flush <= this.#flushed) {" }],
    found: /is given back while it is in use: sim:disk: read/u,
  },
  {
    name: "qcow2-reuse-no-epoch-write",
    about: "writes in place neither hold off zero writes nor count as I/O that may meet freed clusters",
    scenario: "qcow2-reuse-write",
    by: "exhaustive",
    edits: [
      ZERO_SHARES_CLAIM,
      { file: WRITER, find: "using _io = this.#parts.retired.beginIo();\n    await pending;", replace: "await pending;" },
    ],
    found: /is given back while it is in use: sim:disk: write/u,
  },
  {
    name: "qcow2-reuse-no-flush",
    about: "freed clusters may be used again although no flush covers the table that dropped them",
    scenario: "qcow2-reuse-beside",
    by: "power-cut",
    edits: [{ file: RETIRED, find: "if (entry.flush <= this.#flushed && ended) {", replace: "if (ended) {" }],
    found: /after the cut: at offset \d+ there is|corruptions/u,
  },
  {
    name: "qcow2-discard-not-awaited",
    about: "freed clusters may be used again while the host still punches them",
    scenario: "qcow2-reuse-read",
    by: "exhaustive",
    edits: [
      {
        file: ENGINE,
        find: "await discardAll(settled.filter(",
        replace: "void discardAll(settled.filter(",
      },
    ],
    found: /is given back while it is in use: sim:disk: discard/u,
  },
  {
    name: "qcow2-decoded-copy-kept",
    about: "the decoded copy of a compressed cluster outlives its space",
    scenario: "qcow2-reuse-compressed",
    by: "exhaustive",
    edits: [{ file: ENGINE, find: "for (const span of spans) this.#reader.forget(span);", replace: "" }],
    found: /A: read of 100 bytes at 8202: at offset 8202 there is/u,
  },
  {
    name: "qcow2-packs-behind-freed",
    about: "compressed data is put behind that of a cluster which is about to be free",
    scenario: "qcow2-retired-pack",
    by: "exhaustive",
    edits: [{ file: REFERENCES, find: "      this.#packEnd = undefined;\n  }", replace: "      return;\n  }" }],
    found: /retired|corruptions|given back/u,
  },
];

/** Requests that meet. */
const MEETING: readonly Mutation[] = [
  {
    name: "qcow2-no-wait-for-allocation",
    about: "a write does not wait for another one that allocates the same cluster",
    scenario: "qcow2-copy-up",
    by: "exhaustive",
    edits: [
      {
        file: WRITER,
        find: 'if (!hold.tryClaim(range, "exclusive")) return { kind: "needs claim", range, mode: "exclusive" };',
        replace: 'hold.tryClaim(range, "exclusive");',
      },
    ],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qcow2-new-space-unclaimed",
    about: "a write that allocates in the turn of its lookup does not hold others off while its data is on the way",
    scenario: "qcow2-prompt-overlap-warm",
    by: "exhaustive",
    edits: [
      {
        file: WRITER,
        find: 'const held = hold.trySlot() && hold.tryClaim(this.claimRange(allocation.offset, allocation.length), "exclusive");',
        replace: "const held = hold !== undefined;",
      },
    ],
    found: /at offset \d+ there is|leaks/u,
  },
  {
    name: "qcow2-zero-shares-claim",
    about: "zero writes and discards go on beside writes that allocate the same cluster",
    scenario: "qcow2-zero-copy",
    by: "exhaustive",
    edits: [ZERO_SHARES_CLAIM],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qcow2-stale-mapping",
    about: "a write in place that had to wait goes where its cluster was before the wait",
    scenario: "qcow2-reuse-write",
    by: "exhaustive",
    edits: STALE_MAPPING,
    found: /is given back while it is in use|at offset \d+ there is/u,
  },
  {
    name: "qcow2-table-twice",
    about: "an L2 table that two requests miss is loaded twice, and the second copy does not give way",
    scenario: "qcow2-two-misses",
    by: "exhaustive",
    edits: LOADED_TWICE,
    found: /at offset \d+ there is|leaks|after it left the cache/u,
  },
  {
    name: "qcow2-lock-let-go",
    about: "the driver lock is given back while an allocation is still at work",
    scenario: "qcow2-evict",
    by: "exhaustive",
    edits: [
      {
        file: WRITER,
        find: "return await this.#image.allocate(guard.value, request);",
        replace: "return this.#image.allocate(guard.value, request);",
      },
    ],
    found: /is used without lock/u,
  },
  {
    name: "qcow2-evicts-pinned",
    about: "an L2 table is evicted that a request is about to change",
    scenario: "qcow2-evict",
    by: "exhaustive",
    edits: [{ file: TABLE_CACHE, find: "return !entry.dirty && entry.pins === 0;", replace: "return !entry.dirty;" }],
    found: /after it left the cache/u,
  },
  {
    name: "qcow2-evicts-dirty",
    about: "tables and refcount blocks are evicted that the disk does not have yet",
    scenario: "qcow2-storm",
    by: "random",
    edits: [{ file: TABLE_CACHE, find: "return !entry.dirty && entry.pins === 0;", replace: "return entry.pins === 0;" }],
    found: /at offset \d+ there is|corruptions|leaks/u,
  },
  {
    name: "qcow2-copied-ignored",
    about: "clusters that a snapshot shares are written in place",
    scenario: "qcow2-copy-shared",
    by: "exhaustive",
    edits: [{ file: "qcow2/src/image/lookup.ts", find: "writable: isCopied(high)", replace: "writable: isCopied(high) || high >= 0" }],
    found: /belongs to the snapshot, and was changed/u,
  },
  {
    name: "qcow2-read-clipped-once",
    about: "a read that ends with the file does not look whether the file grew meanwhile",
    scenario: "qcow2-overlap",
    by: "exhaustive",
    edits: [
      {
        file: "core/src/mapping/reader.ts",
        find: "return pending?.then(() => (child.size > size ? readOrZero(child, childOffset, into, options) : undefined));",
        replace: "return pending;",
      },
    ],
    found: /C: read of 512 bytes at 512: at offset \d+ there is/u,
  },
];

/** Refcounts, and requests that fail. */
const COUNTS: readonly Mutation[] = [
  {
    name: "qcow2-compressed-not-lowered",
    about: "the references of compressed clusters are never given up",
    scenario: "qcow2-storm-packed",
    by: "random",
    edits: [
      {
        file: "qcow2/src/metadata/owned-space.ts",
        find: "for (let cluster = run.first; cluster < run.first + run.count; cluster++) shared.push(cluster);",
        replace: "if (run.count < 0) shared.push(run.first);",
      },
    ],
    found: /[1-9]\d* leaks/u,
  },
  {
    name: "qcow2-compressed-not-raised",
    about: "compressed data that shares a cluster adds no reference to it",
    scenario: "qcow2-storm-packed",
    by: "random",
    edits: [
      {
        file: REFERENCES,
        find: "if (length <= geometry.clusterSize - (start % geometry.clusterSize)) {\n      await refcounts.raise(cluster);",
        replace: "if (length <= geometry.clusterSize - (start % geometry.clusterSize)) {",
      },
    ],
    found: /corruptions|references left|cannot be lowered|is retired twice/u,
  },
  {
    name: "qcow2-header-handed-out",
    about: "free clusters are handed out without a look whether metadata is there",
    scenario: "qcow2-header-free",
    by: "exhaustive",
    edits: [
      {
        file: "qcow2/src/metadata/cluster-allocator.ts",
        find: "if (kind !== undefined) {",
        replace: "if (kind !== undefined && run.count < 0) {",
      },
    ],
    found: /nothing is refused/u,
  },
  {
    name: "qcow2-links-unwritten",
    about: "new space is linked although its data could not be written",
    scenario: "qcow2-storm-enospc",
    by: "random",
    edits: [
      {
        file: WRITER,
        find: "      await this.#abandon(allocation, error);\n      throw error;\n",
        replace: "      allocation.failure = error;\n",
      },
    ],
    found: /at offset \d+ there is/u,
  },
];

export const QCOW2_MUTATIONS: readonly Mutation[] = [...ORDER, ...REUSE, ...MEETING, ...COUNTS];
