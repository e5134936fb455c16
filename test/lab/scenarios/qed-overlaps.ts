/** Hazards: requests that meet in one L2 table, in one cluster or in one sector, of QED and of what lies below it. */

import { rawDriver } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import type { Scenario } from "@coblock/testing";
import { CLUSTER, qedDisk, TABLE_SPAN } from "./qed-images.ts";

const DRIVERS: Scenario["drivers"] = [qedDriver, rawDriver];
/** Bytes that the storage of unaligned scenarios reads and writes at least. */
const BLOCK = 4096;

/** QEMU, commit "qed: Fix use-after-free during l2 cache commit": of two copies of a table, one gives way. */
const qedTwoMisses: Scenario = {
  name: "qed-two-misses",
  about: "two allocating writes and a read miss one L2 table at one time, with room for one table",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { cachedTables: 1, filled: [0, TABLE_SPAN] });
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER, 512),
        B: (actor) => actor.write(disk, 2 * CLUSTER, 512),
        C: (actor) => actor.read(disk, 0, 512),
      },
    };
  },
};

const qedNewTable: Scenario = {
  name: "qed-new-table",
  about: "two writes into a part of the disk that has no L2 table yet, and a read of it",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab);
    return {
      actors: {
        A: (actor) => actor.write(disk, 0, 512),
        B: (actor) => actor.write(disk, CLUSTER, 512),
        C: (actor) => actor.read(disk, 0, 2 * CLUSTER),
      },
    };
  },
};

const qedOverlap: Scenario = {
  name: "qed-overlap",
  about: "two unaligned writes that overlap in a cluster which nobody has allocated yet, and a read of it",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0] });
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER + 10, 700),
        B: (actor) => actor.write(disk, CLUSTER + 500, 700),
        C: (actor) => actor.read(disk, CLUSTER, 1536),
      },
    };
  },
};

const qedCopyUp: Scenario = {
  name: "qed-copy-up",
  about: "two writes to parts of one cluster that the backing file shows, and a read during the copy",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [TABLE_SPAN], backing: true });
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER + 100, 100),
        B: (actor) => actor.write(disk, CLUSTER + 1500, 100),
        C: (actor) => actor.read(disk, CLUSTER, 2048),
      },
    };
  },
};

/** What is kept of a zero cluster is zeros, and not what the backing file has. */
const qedZeroBesideCopy: Scenario = {
  name: "qed-zero-beside-copy",
  about: "a cluster that the backing file shows is zeroed, while a part of it is written and read",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0], backing: true });
    return {
      actors: {
        A: (actor) => actor.writeZeroes(disk, CLUSTER, CLUSTER),
        B: (actor) => actor.write(disk, CLUSTER + 100, 100),
        C: (actor) => actor.read(disk, CLUSTER, 512),
      },
    };
  },
};

/** Each changes what the other reads to fill up its block. */
const rawHalves: Scenario = {
  name: "raw-halves",
  about: "unaligned writes to two halves of one sector, of a storage that takes whole blocks, and a write of the block",
  drivers: DRIVERS,
  storage: { completions: "later", requestAlignment: 512 },
  async prepare(lab) {
    await lab.file("sim:plain", () => Promise.resolve(lab.pattern(2048)));
    const disk = await lab.open("plain", { driver: "raw", file: "sim:plain" });
    return {
      actors: {
        A: (actor) => actor.write(disk, 0, 256),
        B: (actor) => actor.write(disk, 256, 300),
        C: (actor) => actor.write(disk, 0, 512),
      },
    };
  },
};

const qedHalves: Scenario = {
  name: "qed-halves",
  about: "in-place writes to two halves of one cluster beside an allocating write, on a storage that takes whole blocks",
  drivers: DRIVERS,
  storage: { completions: "later", requestAlignment: BLOCK },
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0, CLUSTER] });
    return {
      actors: {
        A: (actor) => actor.write(disk, 0, 512),
        B: (actor) => actor.write(disk, 512, 512),
        C: (actor) => actor.write(disk, 2 * CLUSTER, 512),
      },
    };
  },
};

export const QED_OVERLAPS: readonly Scenario[] = [
  qedTwoMisses,
  qedNewTable,
  qedOverlap,
  qedCopyUp,
  qedZeroBesideCopy,
  rawHalves,
  qedHalves,
];
