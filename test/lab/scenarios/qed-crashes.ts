/** Hazard: what a power cut leaves where writes reach the disk in another order than they were made. QED's own crash order. */

import { rawDriver } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import type { Actor, Lab, LabDisk, Play, Scenario } from "@coblock/testing";
import { CLUSTER, qedDisk, TABLE_SPAN } from "./qed-images.ts";

const DRIVERS: Scenario["drivers"] = [qedDriver, rawDriver];

/** Everything that changes the metadata, and flushes between. */
function changes(disk: LabDisk): Play["actors"] {
  return {
    "an old table": async (actor: Actor) => {
      await actor.write(disk, CLUSTER, 512);
      await actor.flush(disk);
      await actor.write(disk, 2 * CLUSTER + 512, 1024);
    },
    "a new table": async (actor: Actor) => {
      await actor.write(disk, TABLE_SPAN + CLUSTER, 2 * CLUSTER);
      await actor.flush(disk);
    },
    zeros: async (actor: Actor) => {
      await actor.writeZeroes(disk, 0, CLUSTER);
      await actor.writeZeroes(disk, 4 * CLUSTER, 2 * CLUSTER);
      await actor.write(disk, 4 * CLUSTER, 512);
    },
  };
}

const qedCrash: Scenario = {
  name: "qed-crash",
  about: "writes into an old and a new L2 table, and zeros, with flushes between them",
  drivers: DRIVERS,
  async prepare(lab) {
    return { actors: changes(await qedDisk(lab, { filled: [0] })) };
  },
};

const qedCrashOverlay: Scenario = {
  name: "qed-crash-overlay",
  about: "the same over a backing file, where nothing but the order protects the image",
  drivers: DRIVERS,
  async prepare(lab) {
    return { actors: changes(await qedDisk(lab, { filled: [0], backing: true })) };
  },
};

/** A drained image is a clean one: NEED_CHECK goes, and whatever it stood for is on stable storage before. */
const qedCrashDrain: Scenario = {
  name: "qed-crash-drain",
  about: "allocating writes, and drains beside them, which clear NEED_CHECK",
  drivers: DRIVERS,
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0] });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, CLUSTER, 512);
          await actor.write(disk, 2 * CLUSTER, 512);
        },
        B: async (actor) => {
          for (let round = 0; round < 2; round++) {
            await actor.does("drain", async () => {
              await using _drained = await disk.node.drain();
            });
          }
        },
      },
    };
  },
};

/** The header changes while NEED_CHECK comes and goes in it. Nobody writes behind the old end. */
const qedCrashResize: Scenario = {
  name: "qed-crash-resize",
  about: "the image grows beside allocating writes",
  drivers: DRIVERS,
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0] });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, CLUSTER, 512);
          await actor.does("resize", () => disk.node.resize(disk.node.size + TABLE_SPAN));
        },
        B: async (actor) => {
          await actor.write(disk, TABLE_SPAN, 512);
          await actor.flush(disk);
          await actor.write(disk, 2 * CLUSTER, 512);
        },
      },
    };
  },
};

const qedCrashTimer: Scenario = {
  name: "qed-crash-timer",
  about: "an allocating write that begins when the time to clear NEED_CHECK has come",
  drivers: DRIVERS,
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0] });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, CLUSTER, 512);
          lab.clock.elapse(5000);
          await actor.write(disk, 2 * CLUSTER, 512);
        },
      },
    };
  },
};

/** The last cluster of the file is there in part only: its bytes belong to nobody. */
async function ragged(lab: Lab): Promise<Play> {
  const disk = await qedDisk(lab, { filled: [0], tail: 1000 });
  return { actors: { A: async (actor) => void (await actor.write(disk, CLUSTER, 100)), B: (actor) => actor.write(disk, TABLE_SPAN, 100) } };
}

const qedCrashRagged: Scenario = {
  name: "qed-crash-ragged",
  about: "allocating writes to a file whose last cluster is there in part, and holds what nobody wrote",
  drivers: DRIVERS,
  prepare: ragged,
};

export const QED_CRASHES: readonly Scenario[] = [qedCrash, qedCrashOverlay, qedCrashDrain, qedCrashResize, qedCrashTimer, qedCrashRagged];
