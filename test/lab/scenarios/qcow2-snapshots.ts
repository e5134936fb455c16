/** Internal snapshots that come, go and are applied: beside requests, while the power goes, and where the disk fails. */

import { SeededRandom, type Actor, type LabDisk, type Scenario, type SimFaultRule } from "@coblock/testing";
import { CLUSTER, type Filled, QCOW2_DRIVERS, type Qcow2DiskOptions, qcow2Disk, TABLE_SPAN } from "./qcow2-images.ts";
import { SnapshotLedger } from "./snapshot-ledger.ts";

/** A cluster that is copied although it has one owner: the flag that it has is not on disk yet, or not any more. */
const NOT_FLAGGED = /^ERROR OFLAG_COPIED .* refcount=1$/u;

/** Two L2 tables, of which the second is nearly unused. */
const SIZE = TABLE_SPAN + 8 * CLUSTER;
const FILLED: readonly Filled[] = [
  { offset: 0, length: 2 * CLUSTER },
  { offset: 2 * CLUSTER, length: CLUSTER, how: "compressed" },
  { offset: 3 * CLUSTER, length: CLUSTER, how: "reserved" },
];
const DISK: Qcow2DiskOptions = { size: SIZE, refcountBits: 16, filled: FILLED };

const qcow2SnapshotInPlace: Scenario = {
  name: "qcow2-snapshot-in-place",
  about: "writes in place beside a snapshot that is made: each is in it as a whole, or not at all, and none changes it later",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  harmless: NOT_FLAGGED,
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { size: SIZE, refcountBits: 16, filled: [{ offset: 0, length: 2 * CLUSTER }] });
    const ledger = new SnapshotLedger(lab, disk);
    return {
      actors: {
        A: (actor) => actor.write(disk, 100, 100),
        B: (actor) => ledger.create(actor, "one"),
        C: (actor) => actor.write(disk, CLUSTER, CLUSTER),
      },
    };
  },
};

const qcow2SnapshotBeside: Scenario = {
  name: "qcow2-snapshot-beside",
  about: "allocating writes, copies, zeros and discards beside a snapshot that is made and another that is deleted",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  harmless: NOT_FLAGGED,
  async prepare(lab) {
    const disk = await qcow2Disk(lab, DISK);
    const ledger = new SnapshotLedger(lab, disk);
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, 8 * CLUSTER + 100, 100);
          await actor.write(disk, 2 * CLUSTER + 100, 100);
        },
        B: async (actor) => {
          await ledger.create(actor, "one");
          await ledger.create(actor, "two");
          await ledger.delete(actor, "one");
        },
        C: async (actor) => {
          await actor.discard(disk, 0, CLUSTER, "zero");
          await actor.write(disk, TABLE_SPAN + CLUSTER, 100);
        },
      },
    };
  },
};

/** From the first to the last that can be done with a snapshot. */
async function life(actor: Actor, disk: LabDisk, ledger: SnapshotLedger): Promise<void> {
  await actor.write(disk, 100, 300);
  await ledger.create(actor, "one");
  await actor.write(disk, 0, 2 * CLUSTER);
  await actor.writeZeroes(disk, 3 * CLUSTER, CLUSTER, true);
  await actor.flush(disk);
  await ledger.create(actor, "two");
  await actor.write(disk, TABLE_SPAN, CLUSTER);
  await actor.writeCompressed(disk, 5 * CLUSTER, new Uint8Array(CLUSTER).fill(7));
  if (ledger.names.includes("one")) await ledger.apply(actor, "one");
  await actor.write(disk, CLUSTER + 100, CLUSTER);
  if (ledger.names.includes("one")) await ledger.delete(actor, "one");
  await actor.write(disk, 0, CLUSTER);
  if (ledger.names.includes("two")) await ledger.apply(actor, "two");
  if (ledger.names.includes("two")) await ledger.delete(actor, "two");
  await actor.write(disk, CLUSTER, CLUSTER);
  await actor.flush(disk);
}

function lifeScenario(name: string, about: string, fault?: SimFaultRule["effect"]): Scenario {
  return {
    name,
    about,
    drivers: QCOW2_DRIVERS,
    storage: { completions: "at once" },
    harmless: NOT_FLAGGED,
    async prepare(lab) {
      const disk = await qcow2Disk(lab, DISK);
      const ledger = new SnapshotLedger(lab, disk);
      if (fault !== undefined) lab.storage.fault({ effect: fault, when: "choose" });
      return { actors: { A: (actor) => life(actor, disk, ledger) } };
    },
  };
}

const qcow2SnapshotLife: Scenario = lifeScenario("qcow2-snapshot-life", "snapshots are made, applied and deleted, with writes in between");
const qcow2SnapshotEio: Scenario = lifeScenario(
  "qcow2-snapshot-eio",
  "snapshots are made, applied and deleted, and one operation of the disk fails",
  "EIO",
);
const qcow2SnapshotEnospc: Scenario = lifeScenario(
  "qcow2-snapshot-enospc",
  "snapshots are made, applied and deleted, and once there is no space left",
  "ENOSPC",
);
const qcow2SnapshotShort: Scenario = lifeScenario(
  "qcow2-snapshot-short",
  "snapshots are made, applied and deleted, and one operation does half of what it should",
  "short",
);
const qcow2SnapshotUnheard: Scenario = lifeScenario(
  "qcow2-snapshot-unheard",
  "snapshots are made, applied and deleted, and one operation is done and told as failed",
  "unheard",
);

/** Space of tables and data goes from hand to hand: what was known of it before must be forgotten. */
const qcow2SnapshotReuse: Scenario = {
  name: "qcow2-snapshot-reuse",
  about: "snapshots come and go, and all that they give back is used again at once, tables for data and data for tables",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "at once" },
  harmless: NOT_FLAGGED,
  async prepare(lab) {
    // Large enough that the cache has room for tables that nobody uses any more.
    const disk = await qcow2Disk(lab, { ...DISK, size: 8 * TABLE_SPAN });
    const ledger = new SnapshotLedger(lab, disk);
    const random = new SeededRandom(1);
    const rounds = async (actor: Actor): Promise<void> => {
      for (let round = 0; round < 12; round++) {
        await ledger.create(actor, `${round}`);
        await requests(actor, disk, random);
        if (random.chance(0.5)) await ledger.apply(actor, `${round}`);
        await ledger.delete(actor, `${round}`);
        await actor.flush(disk);
      }
    };
    return { actors: { A: rounds } };
  },
};

/** Requests to a few clusters by two actors, from a seed. */
async function requests(actor: Actor, disk: LabDisk, random: SeededRandom): Promise<void> {
  for (let done = 0; done < 8; done++) {
    const offset = random.pick([0, TABLE_SPAN]) + random.below(5) * CLUSTER;
    const length = random.between(1, 2) * CLUSTER;
    switch (random.below(6)) {
      case 0:
      case 1:
        await actor.write(disk, offset + random.below(CLUSTER), random.between(1, CLUSTER));
        break;
      case 2:
        await actor.writeZeroes(disk, offset, length, random.chance(0.5));
        break;
      case 3:
        await actor.discard(disk, offset, length, "zero");
        break;
      case 4:
        await actor.writeCompressed(disk, offset, CLUSTER);
        break;
      default:
        await actor.read(disk, offset, length);
    }
  }
}

const qcow2SnapshotStorm: Scenario = {
  name: "qcow2-snapshot-storm",
  about: "two actors with requests of all kinds, beside one that makes, applies and deletes snapshots",
  drivers: QCOW2_DRIVERS,
  storage: { completions: "later" },
  harmless: NOT_FLAGGED,
  async prepare(lab) {
    const disk = await qcow2Disk(lab, { ...DISK, cachedBlocks: 4 });
    const ledger = new SnapshotLedger(lab, disk);
    return {
      actors: {
        A: (actor) => requests(actor, disk, new SeededRandom(1)),
        B: (actor) => requests(actor, disk, new SeededRandom(2)),
        C: async (actor) => {
          await ledger.create(actor, "one");
          await ledger.create(actor, "two");
          await ledger.apply(actor, "one");
          await ledger.delete(actor, "one");
          await ledger.apply(actor, "two");
          await ledger.create(actor, "three");
          await ledger.delete(actor, "two");
        },
      },
    };
  },
};

export const QCOW2_SNAPSHOT_SCENARIOS: readonly Scenario[] = [
  qcow2SnapshotInPlace,
  qcow2SnapshotBeside,
  qcow2SnapshotLife,
  qcow2SnapshotEio,
  qcow2SnapshotEnospc,
  qcow2SnapshotShort,
  qcow2SnapshotUnheard,
  qcow2SnapshotReuse,
  qcow2SnapshotStorm,
];
