/** What must be on the disk before what: scenarios for power cuts of qcow2. */

import type { Scenario } from "@coblock/testing";
import { CLUSTER, QCOW2_DRIVERS, qcow2Disk, TABLE_SPAN } from "./qcow2-images.ts";

/** No refcount changes, so nothing but the data itself has to be there before the L2 table. */
export const qcow2Reserved: Scenario = {
  name: "qcow2-reserved",
  about: "writes to clusters that read as zeros and have space which held other data, with flushes beside",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: [{ offset: 0, length: 4 * CLUSTER, how: "reserved" }] });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, 0, CLUSTER);
          await actor.flush(disk);
        },
        B: async (actor) => {
          for (const index of [1, 2, 3]) await actor.write(disk, index * CLUSTER, CLUSTER);
          await actor.flush(disk);
        },
      },
    };
  },
};

export const qcow2SlowData: Scenario = {
  name: "qcow2-slow-data",
  about: "data stays in flight while another actor writes and flushes, and is linked and flushed after that",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { filled: [{ offset: 0, length: 4 * CLUSTER, how: "reserved" }] });
    const slow = lab.storage.fault({ effect: "held", match: ({ kind, length }) => kind === "write" && length === 2 * CLUSTER });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, 0, CLUSTER);
          await actor.flush(disk);
          slow[Symbol.dispose]();
        },
        B: async (actor) => {
          await actor.write(disk, CLUSTER, 2 * CLUSTER);
          await actor.flush(disk);
        },
      },
    };
  },
};

function newTables(name: string, about: string, lazy: boolean): Scenario {
  return {
    name,
    about,
    drivers: QCOW2_DRIVERS,
    storage: { completions: "later" },
    async prepare(lab) {
      const disk = await qcow2Disk(lab, { lazy, filled: [{ offset: 0, length: 58 * CLUSTER }] });
      return {
        actors: {
          A: async (actor) => {
            await actor.write(disk, 58 * CLUSTER, 6 * CLUSTER);
            await actor.flush(disk);
          },
          B: (actor) => actor.write(disk, TABLE_SPAN, CLUSTER),
        },
      };
    },
  };
}

export const qcow2NewTables: Scenario = newTables(
  "qcow2-new-tables",
  "one write needs a new refcount block, another a new L2 table, and a flush is beside",
  false,
);

/** After a cut the image says that it is dirty, and its refcounts are rebuilt when it is opened; or it needs none of that. */
export const qcow2Lazy: Scenario = newTables("qcow2-lazy", "the same with lazy refcounts", true);
