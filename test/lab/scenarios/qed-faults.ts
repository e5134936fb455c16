/** Hazard: an error in the middle of a write. The content is old or new, the image is sound, and memory knows no more than the disk. */

import { rawDriver } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import { type Actor, type LabDisk, type Play, RunFailure, type Scenario, type SimFaultRule } from "@coblock/testing";
import { CLUSTER, hasNeedCheck, qedDisk, TABLE_SPAN } from "./qed-images.ts";

const DRIVERS: Scenario["drivers"] = [qedDriver, rawDriver];

/** Each operation may be struck, by choice of the schedule; at most one is. */
const ONE_WRITE: Omit<SimFaultRule, "effect"> = { when: "choose", match: ({ kind }) => kind === "write" };

/** What a failed write left is read, then it is written again. */
async function writeStubbornly(actor: Actor, disk: LabDisk, offset: number, length: number): Promise<void> {
  if (await actor.write(disk, offset, length)) return;
  await actor.read(disk, offset, length);
  await actor.write(disk, offset, length);
  await actor.read(disk, offset, length);
}

function inTurn(disk: LabDisk): Play["actors"] {
  return {
    A: async (actor) => {
      await writeStubbornly(actor, disk, CLUSTER, 512);
      await writeStubbornly(actor, disk, TABLE_SPAN + CLUSTER, CLUSTER);
      await actor.writeZeroes(disk, 2 * CLUSTER, CLUSTER);
      await writeStubbornly(actor, disk, CLUSTER + 512, 1024);
      await actor.flush(disk);
    },
  };
}

/** What failed is not made again: whatever it left stays. */
function onceOnly(disk: LabDisk): Play["actors"] {
  return {
    A: async (actor) => {
      for (const offset of [CLUSTER, TABLE_SPAN + CLUSTER, 63 * CLUSTER]) {
        await actor.write(disk, offset, 2 * CLUSTER);
        await actor.read(disk, offset, 2 * CLUSTER);
      }
    },
  };
}

/** Between tables of which one fits into memory. */
function backAndForth(disk: LabDisk): Play["actors"] {
  return {
    A: async (actor) => {
      for (const offset of [CLUSTER, 2 * TABLE_SPAN + CLUSTER, 3 * CLUSTER]) {
        await writeStubbornly(actor, disk, offset, 512);
        await actor.read(disk, TABLE_SPAN, 512);
        await actor.read(disk, 0, 2 * CLUSTER);
      }
    },
  };
}

function sideBySide(disk: LabDisk): Play["actors"] {
  return {
    A: (actor) => writeStubbornly(actor, disk, CLUSTER, 512),
    B: (actor) => writeStubbornly(actor, disk, CLUSTER + 512, CLUSTER),
    C: async (actor) => {
      await writeStubbornly(actor, disk, TABLE_SPAN, 512);
      await actor.flush(disk);
    },
  };
}

function scenario(parts: {
  readonly name: string;
  readonly about: string;
  readonly rule: SimFaultRule;
  readonly actors: (disk: LabDisk) => Play["actors"];
  readonly backing?: boolean;
  readonly cachedTables?: number;
  readonly storage?: Scenario["storage"];
}): Scenario {
  return {
    name: parts.name,
    about: parts.about,
    drivers: DRIVERS,
    storage: parts.storage ?? { completions: "later" },
    async prepare(lab) {
      const { backing = false, cachedTables = 50 } = parts;
      const disk = await qedDisk(lab, { filled: [0, 2 * TABLE_SPAN], backing, cachedTables });
      lab.storage.fault(parts.rule);
      return { actors: parts.actors(disk) };
    },
  };
}

const EITHER: Scenario["storage"] = { completions: "either" };

/** An L2 run of more than one sector, of which half is written. */
const qedShortTable: Scenario = {
  name: "qed-short-table",
  about: "an allocating write of clusters with entries in two sectors of an L2 table, of whose update one is written",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0] });
    lab.storage.fault({ effect: "short", match: ({ kind, length }) => kind === "write" && length === 1024 });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, 60 * CLUSTER, 8 * CLUSTER);
          await actor.read(disk, 60 * CLUSTER, 8 * CLUSTER);
        },
      },
    };
  },
};

/** Only what was written whole is trusted: a metadata write that failed may have left anything. */
const qedDistrust: Scenario = {
  name: "qed-distrust",
  about: "the update of a table fails, then the image is left alone for a while and closed",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0] });
    const isTableUpdate = ({ kind, offset, length }: Parameters<NonNullable<SimFaultRule["match"]>>[0]): boolean =>
      kind === "write" && length === 512 && offset >= CLUSTER;
    const fault = lab.storage.fault({ effect: "EIO", when: "choose", match: isTableUpdate });
    return {
      actors: {
        A: async (actor) => {
          await writeStubbornly(actor, disk, CLUSTER, CLUSTER);
          await actor.sleep(6000);
          await actor.does("close", () => disk.node[Symbol.asyncDispose]());
        },
      },
      judge: () => {
        const expected = fault.hits > 0;
        if (hasNeedCheck(lab) === expected) return Promise.resolve();
        throw new RunFailure(
          "wrong",
          `closed: NEED_CHECK is ${expected ? "clear, though an update of a table failed" : "set, though nothing failed"}`,
        );
      },
    };
  },
};

export const QED_FAULTS: readonly Scenario[] = [
  scenario({
    name: "qed-write-fails",
    about: "each write of a plain sequence fails with EIO once, and is made again",
    rule: { effect: "EIO", ...ONE_WRITE },
    actors: inTurn,
  }),
  scenario({
    name: "qed-overlay-write-fails",
    about: "each write of a plain sequence over a backing file fails with EIO once, and is made again",
    rule: { effect: "EIO", ...ONE_WRITE },
    actors: inTurn,
    backing: true,
  }),
  scenario({
    name: "qed-write-short",
    about: "each write of a plain sequence comes short once, and is made again",
    rule: { effect: "short", ...ONE_WRITE },
    actors: inTurn,
  }),
  scenario({
    name: "qed-write-unheard",
    about: "each write of a plain sequence is done, says once that it failed, and is read before it is made again",
    rule: { effect: "unheard", ...ONE_WRITE },
    actors: inTurn,
  }),
  scenario({
    name: "qed-write-lost",
    about: "each write of a plain sequence is done and says once that it failed, and nobody makes it again",
    rule: { effect: "unheard", ...ONE_WRITE },
    actors: onceOnly,
  }),
  scenario({
    name: "qed-no-space",
    about: "each write of a plain sequence finds no space once, and is made again",
    rule: { effect: "ENOSPC", ...ONE_WRITE },
    actors: inTurn,
  }),
  scenario({
    name: "qed-read-fails",
    about: "each read of a plain sequence fails once: of data that is copied, of tables that no longer were in memory, of the guest",
    rule: { effect: "EIO", when: "choose", match: ({ kind }) => kind === "read" },
    actors: backAndForth,
    backing: true,
    cachedTables: 1,
  }),
  scenario({
    name: "qed-flush-fails",
    about: "each flush of a plain sequence fails once",
    rule: { effect: "EIO", when: "choose", match: ({ kind }) => kind === "flush" },
    actors: inTurn,
  }),
  scenario({
    name: "qed-storm-fails",
    about: "writes side by side, two of which come short at any time",
    rule: { effect: "short", times: 2, ...ONE_WRITE },
    actors: sideBySide,
    storage: EITHER,
  }),
  scenario({
    name: "qed-storm-unheard",
    about: "writes side by side, two of which are done and say that they failed",
    rule: { effect: "unheard", times: 2, ...ONE_WRITE },
    actors: sideBySide,
    storage: EITHER,
  }),
  scenario({
    name: "qed-overlay-storm-fails",
    about: "writes side by side over a backing file, two of which fail at any time",
    rule: { effect: "EIO", times: 2, ...ONE_WRITE },
    actors: sideBySide,
    backing: true,
    storage: EITHER,
  }),
  qedShortTable,
  qedDistrust,
];
