/** Hazards: requests that meet in one L2 table or in one cluster, of qcow2. */

import type { Scenario } from "@coblock/testing";
import { CLUSTER, DISK_FILE, QCOW2_DRIVERS, qcow2Disk, TABLE_SPAN } from "./qcow2-images.ts";
import { expectSnapshotKept } from "./qcow2-snapshot.ts";

const TABLES = [0, TABLE_SPAN, 2 * TABLE_SPAN].map((offset) => ({ offset, length: CLUSTER }));

export const qcow2TwoMisses: Scenario = {
  name: "qcow2-two-misses",
  about: "two allocating writes miss the same L2 table, and a read brings in another one",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { cachedTables: 2, filled: TABLES });
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER, CLUSTER),
        B: (actor) => actor.write(disk, 2 * CLUSTER, CLUSTER),
        C: (actor) => actor.read(disk, TABLE_SPAN, CLUSTER),
      },
    };
  },
};

export const qcow2Evict: Scenario = {
  name: "qcow2-evict",
  about: "allocating writes to three L2 tables with room for two, so that tables go out while they are in use",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { cachedTables: 2, cachedBlocks: 4, filled: TABLES });
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER, CLUSTER),
        B: (actor) => actor.write(disk, TABLE_SPAN + CLUSTER, CLUSTER),
        C: (actor) => actor.write(disk, 2 * TABLE_SPAN + CLUSTER, CLUSTER),
      },
    };
  },
};

export const qcow2Overlap: Scenario = {
  name: "qcow2-overlap",
  about: "two unaligned writes that overlap in a cluster which nobody has allocated yet, and a read of it",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: TABLES.slice(0, 1) });
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER + 10, 300),
        B: (actor) => actor.write(disk, CLUSTER + 200, 300),
        C: (actor) => actor.read(disk, CLUSTER, CLUSTER),
      },
    };
  },
};

export const qcow2OverlapWarm: Scenario = {
  name: "qcow2-overlap-warm",
  about: "two unaligned writes that overlap in a cluster which nobody has allocated yet, the first with all tables in memory",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: TABLES.slice(0, 1) });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, 2 * CLUSTER, CLUSTER);
          await actor.write(disk, CLUSTER + 10, 300);
        },
        B: (actor) => actor.write(disk, CLUSTER + 200, 300),
      },
    };
  },
};

export const qcow2CopyUp: Scenario = {
  name: "qcow2-copy-up",
  about: "two writes to parts of one cluster that the backing file shows, a read during the copy, and a write of its neighbour",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: TABLES.slice(1), backing: 4 * CLUSTER });
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER + 100, 100),
        B: (actor) => actor.write(disk, CLUSTER + 150, 150),
        C: (actor) => actor.read(disk, CLUSTER, CLUSTER),
      },
    };
  },
};

/** The L2 table is shared too, so it is copied away first. */
export const qcow2CopyShared: Scenario = {
  name: "qcow2-copy-shared",
  about: "two writes to one cluster that a snapshot shares, and one to its neighbour; what the snapshot has stays as it is",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { refcountBits: 16, filled: [{ offset: 0, length: 4 * CLUSTER }], snapshot: true });
    const before = lab.storage.contentOf(DISK_FILE);
    return {
      actors: {
        A: (actor) => actor.write(disk, 100, 100),
        B: (actor) => actor.write(disk, 150, 150),
        C: (actor) => actor.write(disk, CLUSTER, CLUSTER),
      },
      judge: async () => expectSnapshotKept(before, lab.storage.contentOf(DISK_FILE)),
    };
  },
};

export const qcow2ZeroCopy: Scenario = {
  name: "qcow2-zero-copy",
  about: "a cluster is zeroed, and its neighbour discarded, while a write to a part of each copies the rest from a snapshot's cluster",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { refcountBits: 16, filled: [{ offset: 0, length: 4 * CLUSTER }], snapshot: true });
    const before = lab.storage.contentOf(DISK_FILE);
    return {
      actors: {
        A: (actor) => actor.write(disk, 100, CLUSTER),
        B: (actor) => actor.writeZeroes(disk, 0, CLUSTER, true),
        C: (actor) => actor.discard(disk, CLUSTER, CLUSTER, "zero"),
      },
      judge: async () => expectSnapshotKept(before, lab.storage.contentOf(DISK_FILE)),
    };
  },
};

export const qcow2Compressed: Scenario = {
  name: "qcow2-compressed",
  about: "a compressed cluster is written in part, replaced by another compressed one and read, all at one time",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const clusterSize = 2 * CLUSTER;
    const filled = [{ offset: 0, length: 4 * clusterSize, how: "compressed" }] as const;
    const disk = await qcow2Disk(lab, { clusterSize, filled });
    return {
      actors: {
        A: (actor) => actor.write(disk, 100, 100),
        B: (actor) => actor.writeCompressed(disk, 0, clusterSize),
        C: (actor) => actor.read(disk, 0, clusterSize),
      },
    };
  },
};

export const qcow2Status: Scenario = {
  name: "qcow2-status",
  about: "the extents of the disk are asked for while allocating writes go on and tables come and go",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { cachedTables: 2, filled: TABLES });
    const dataBefore = TABLES.map(({ offset }) => offset);
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER, CLUSTER),
        B: (actor) =>
          actor.does("extents", async () => {
            let end = 0;
            const data = new Set<number>();
            for await (const { kind, offset, length } of disk.node.extents()) {
              if (offset !== end) throw new Error(`the extent at ${offset} comes after the one that ends at ${end}`);
              end += length;
              if (kind === "data") for (let at = offset; at < end; at += CLUSTER) data.add(at);
            }
            if (end !== disk.node.size) throw new Error(`the extents end at ${end}, and the disk at ${disk.node.size}`);
            for (const offset of dataBefore) if (!data.has(offset)) throw new Error(`the data at ${offset} is not among the extents`);
          }),
      },
    };
  },
};
