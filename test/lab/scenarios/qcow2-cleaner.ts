/** Hazard: the cache cleaner runs beside requests, drains, reopens and closing; asleep, waiting for the lock, or holding it. */

import { type Actor, type Lab, type LabDisk, RunFailure, type Scenario } from "@coblock/testing";
import { CLUSTER, QCOW2_DRIVERS, qcow2Disk, TABLE_SPAN } from "./qcow2-images.ts";

const SECOND = 1000;
const TABLES = [0, TABLE_SPAN, 2 * TABLE_SPAN].map((offset) => ({ offset, length: CLUSTER }));

/** The cleaner's time comes, at any moment. */
async function roundsCome(lab: Lab, actor: Actor, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await actor.pause();
    actor.tells("a second passes");
    lab.clock.elapse(SECOND);
  }
}

/** No actor sleeps in these scenarios: every timer is a cleaner's. */
function expectCleaners(lab: Lab, count: number, when: string): void {
  const { timerCount } = lab.clock;
  if (timerCount !== count) throw new RunFailure("wrong", `${when}: ${timerCount} cleaners sleep, where ${count} should`);
}

/** Makes the tables that begin at `offsets` dirty, and gives up a cluster that the next flush frees; the disk reads as before. */
async function dirty(disk: LabDisk, offsets: readonly number[], clusterSize: number): Promise<void> {
  for (const offset of offsets) await disk.node.write(offset + clusterSize, new Uint8Array(clusterSize));
  await disk.node.write(2 * clusterSize, new Uint8Array(clusterSize));
  await disk.node.writeZeroes(2 * clusterSize, clusterSize, { mayUnmap: true });
}

/** Looks at the whole disk, past the gate: a table that is missed comes in under the lock while others want it, and dirty ones go out. */
async function lookAtAll(disk: LabDisk): Promise<void> {
  for await (const { length } of disk.node.extents()) if (length === 0) throw new RunFailure("wrong", "an extent of no bytes");
}

const qcow2CleanerBeside: Scenario = {
  name: "qcow2-cleaner-beside",
  about: "rounds of the cleaner come while a write allocates, and after it, while its tables are dirty",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: TABLES, cleanInterval: 1 });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, CLUSTER, CLUSTER);
          await actor.read(disk, 0, 2 * CLUSTER);
        },
        B: (actor) => roundsCome(lab, actor, 3),
      },
    };
  },
};

const qcow2CleanerEvict: Scenario = {
  name: "qcow2-cleaner-evict",
  about: "rounds of the cleaner come while writes to three tables, with room for two, evict and write out each other's tables",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { cachedTables: 2, cachedBlocks: 4, filled: TABLES, cleanInterval: 1 });
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER, CLUSTER),
        B: (actor) => actor.write(disk, TABLE_SPAN + CLUSTER, CLUSTER),
        C: (actor) => actor.read(disk, 2 * TABLE_SPAN, CLUSTER),
        D: (actor) => roundsCome(lab, actor, 3),
      },
    };
  },
};

const qcow2CleanerClose: Scenario = {
  name: "qcow2-cleaner-close",
  about: "rounds of the cleaner come before, while and after the image is closed",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: TABLES, cleanInterval: 1 });
    const close = async (): Promise<void> => {
      await disk.node[Symbol.asyncDispose]();
      expectCleaners(lab, 0, "closed");
    };
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, CLUSTER, CLUSTER);
          await actor.does("close", close);
        },
        B: (actor) => roundsCome(lab, actor, 3),
      },
    };
  },
};

const qcow2CleanerDrain: Scenario = {
  name: "qcow2-cleaner-drain",
  about: "rounds of the cleaner come before, during and after a drain, with a look at the disk that holds the lock: drained, none is made",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { cachedTables: 2, filled: TABLES, cleanInterval: 1 });
    await dirty(disk, [0, TABLE_SPAN], CLUSTER);
    const drain = async (actor: Actor): Promise<void> => {
      {
        await using _drained = await disk.node.drain();
        expectCleaners(lab, 0, "drained");
        await actor.pause();
        expectCleaners(lab, 0, "still drained");
      }
      expectCleaners(lab, 1, "no longer drained");
    };
    return {
      actors: {
        A: (actor) => actor.does("look", () => lookAtAll(disk)),
        B: (actor) => roundsCome(lab, actor, 2),
        C: (actor) => actor.does("drain", () => drain(actor)),
      },
    };
  },
};

const qcow2CleanerReopen: Scenario = {
  name: "qcow2-cleaner-reopen",
  about: "caches are replaced by others, and the cleaner with them, while its rounds come and a look at the disk holds the lock",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const clusterSize = 2 * CLUSTER;
    const span = (clusterSize / 8) * clusterSize;
    const filled = [0, span, 2 * span].map((offset) => ({ offset, length: clusterSize }));
    const disk = await qcow2Disk(lab, { clusterSize, cachedTables: 2, filled, cleanInterval: 1 });
    await dirty(disk, [0, span], clusterSize);
    const reopen = async (): Promise<void> => {
      await disk.node.reopen({ l2CacheEntrySize: CLUSTER, cacheCleanInterval: 2 });
      expectCleaners(lab, 1, "reopened");
    };
    return {
      actors: {
        A: (actor) => actor.does("look", () => lookAtAll(disk)),
        B: (actor) => roundsCome(lab, actor, 1),
        C: (actor) => actor.does("reopen", reopen),
      },
    };
  },
};

const qcow2CleanerAbort: Scenario = {
  name: "qcow2-cleaner-abort",
  about: "a reopen that another node refuses is aborted while rounds of the cleaner come: it goes on as before",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { cachedTables: 2, filled: TABLES, cleanInterval: 1 });
    await dirty(disk, [0, TABLE_SPAN], CLUSTER);
    const file = disk.node.children.get("file")?.node;
    if (file === undefined) throw new Error("assertion failed: the image has a file");
    const abort = async (): Promise<void> => {
      const refused = await lab.graph
        .reopen([
          { node: disk.node, options: { cacheCleanInterval: 0 } },
          { node: file, options: { l2CacheSize: 0 } },
        ])
        .then(
          () => false,
          () => true,
        );
      if (!refused) throw new RunFailure("wrong", "the file has no such option, and it is not refused");
      expectCleaners(lab, 1, "aborted");
    };
    return {
      actors: {
        A: (actor) => actor.does("look", () => lookAtAll(disk)),
        B: (actor) => roundsCome(lab, actor, 1),
        C: (actor) => actor.does("reopen", abort),
      },
      judge: async () => expectCleaners(lab, 1, "at the end"),
    };
  },
};

/** Everything at one time, for seeds. */
const qcow2CleanerStorm: Scenario = {
  name: "qcow2-cleaner-storm",
  about: "writes, discards and reads of three tables beside rounds of the cleaner, a drain, reopens with other caches, and a close",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "either" },
  async prepare(lab) {
    const clusterSize = 2 * CLUSTER;
    const span = (clusterSize / 8) * clusterSize;
    const filled = [0, span, 2 * span].map((offset) => ({ offset, length: 4 * clusterSize }));
    const disk = await qcow2Disk(lab, { clusterSize, cachedTables: 2, cachedBlocks: 4, filled, cleanInterval: 1 });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, clusterSize + 100, clusterSize);
          await actor.discard(disk, span, 2 * clusterSize, "zero");
          await actor.write(disk, 2 * span + 5 * clusterSize, clusterSize);
        },
        B: async (actor) => {
          await actor.write(disk, span + 6 * clusterSize, 2 * clusterSize);
          await actor.flush(disk);
          await actor.read(disk, 0, 3 * clusterSize);
        },
        C: (actor) => roundsCome(lab, actor, 6),
        D: async (actor) => {
          await actor.does("reopen", () => disk.node.reopen({ l2CacheEntrySize: CLUSTER, l2CacheSize: 4 * CLUSTER }));
          await actor.does("drain", async () => {
            await using _drained = await disk.node.drain();
            expectCleaners(lab, 0, "drained");
            await actor.pause();
          });
          await actor.does("reopen", () => disk.node.reopen({ l2CacheEntrySize: undefined, refcountCacheSize: undefined }));
        },
        E: (actor) => actor.does("look", () => lookAtAll(disk)),
      },
      judge: async () => expectCleaners(lab, 1, "at the end"),
    };
  },
};

export const QCOW2_CLEANER: readonly Scenario[] = [
  qcow2CleanerBeside,
  qcow2CleanerEvict,
  qcow2CleanerClose,
  qcow2CleanerDrain,
  qcow2CleanerReopen,
  qcow2CleanerAbort,
  qcow2CleanerStorm,
];
