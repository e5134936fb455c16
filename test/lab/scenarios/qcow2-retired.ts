/** Hazards: host clusters that are given up while somebody still uses them, and get a new owner. In-place writes beside the making of a snapshot belong here once there is such a thing. */

import type { Scenario } from "@coblock/testing";
import { CLUSTER, QCOW2_DRIVERS, qcow2Disk, TABLE_SPAN } from "./qcow2-images.ts";

const FILLED = [{ offset: 0, length: 2 * CLUSTER }];

export const qcow2ReuseRead: Scenario = {
  name: "qcow2-reuse-read",
  about: "a read is in flight on a cluster that is discarded, and given to another guest cluster",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: FILLED });
    return {
      actors: {
        A: async (actor) => {
          await actor.discard(disk, 0, CLUSTER, "zero");
          await actor.flush(disk);
          await actor.write(disk, 8 * CLUSTER, CLUSTER);
        },
        B: (actor) => actor.read(disk, 0, CLUSTER),
      },
    };
  },
};

/** The table of that cluster is not in the cache: both wait for it, and one of them changes what the other looks for. */
export const qcow2ReuseWrite: Scenario = {
  name: "qcow2-reuse-write",
  about: "a write in place meets a cluster that is zeroed and unmapped, and given to another guest cluster",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const others = [TABLE_SPAN, 2 * TABLE_SPAN].map((offset) => ({ offset, length: CLUSTER }));
    const disk = await qcow2Disk(lab, { cachedTables: 2, filled: [...FILLED, ...others] });
    return {
      actors: {
        A: async (actor) => {
          await actor.writeZeroes(disk, 0, CLUSTER, true);
          await actor.flush(disk);
          await actor.write(disk, 8 * CLUSTER, CLUSTER);
        },
        B: (actor) => actor.write(disk, 0, 2 * CLUSTER),
      },
    };
  },
};

export const qcow2ReuseBeside: Scenario = {
  name: "qcow2-reuse-beside",
  about: "a cluster is given up while a flush is on its way, and another write wants space",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: [{ offset: 0, length: 4 * CLUSTER }] });
    return {
      actors: {
        A: (actor) => actor.discard(disk, 0, CLUSTER, "zero"),
        B: (actor) => actor.flush(disk),
        C: async (actor) => {
          await actor.write(disk, 3 * CLUSTER, CLUSTER);
          await actor.flush(disk);
          await actor.write(disk, 8 * CLUSTER, CLUSTER);
          await actor.write(disk, 9 * CLUSTER, CLUSTER);
        },
      },
    };
  },
};

/** Small reads keep a decoded copy of the unit. */
export const qcow2ReuseCompressed: Scenario = {
  name: "qcow2-reuse-compressed",
  about: "a compressed cluster that was read in part is overwritten, and its place in the file taken by another compressed one",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const clusterSize = 2 * CLUSTER;
    const disk = await qcow2Disk(lab, { clusterSize, filled: [{ offset: 0, length: clusterSize, how: "compressed" }] });
    return {
      actors: {
        A: async (actor) => {
          await actor.read(disk, 10, 100);
          await actor.discard(disk, 0, clusterSize, "zero");
          await actor.flush(disk);
          // As many sectors as the other one: a copy is known by its place and length in the file.
          await actor.writeCompressed(disk, 8 * clusterSize, new Uint8Array(clusterSize).fill(7));
          await actor.read(disk, 8 * clusterSize + 10, 100);
        },
        B: (actor) => actor.read(disk, 200, 100),
      },
    };
  },
};

/** Packed bytes must not go behind those of a cluster that is about to be free. */
export const qcow2RetiredPack: Scenario = {
  name: "qcow2-retired-pack",
  about: "compressed data is written, discarded and written again, with flushes beside",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const clusterSize = 2 * CLUSTER;
    const disk = await qcow2Disk(lab, { clusterSize });
    return {
      actors: {
        A: async (actor) => {
          await actor.writeCompressed(disk, 0, clusterSize);
          await actor.discard(disk, 0, clusterSize, "zero");
          await actor.writeCompressed(disk, clusterSize, clusterSize);
          await actor.flush(disk);
          await actor.write(disk, 4 * clusterSize, clusterSize);
          await actor.read(disk, clusterSize, clusterSize);
        },
        B: (actor) => actor.flush(disk),
      },
    };
  },
};

/** The host gets what is in a cluster that keeps its place: not before the table says so on disk, and not what is written there again. */
export const qcow2KeptPlace: Scenario = {
  name: "qcow2-kept-place",
  about: "a cluster is discarded and keeps its place, beside a read, a write to it and a flush",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: FILLED, keepsPlaces: true });
    return {
      actors: {
        A: async (actor) => {
          await actor.discard(disk, 0, CLUSTER, "zero");
          await actor.flush(disk);
          await actor.read(disk, 0, CLUSTER);
        },
        B: (actor) => actor.read(disk, 0, CLUSTER),
        C: async (actor) => {
          await actor.write(disk, 0, CLUSTER);
          await actor.flush(disk);
        },
      },
    };
  },
};
