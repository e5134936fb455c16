/** Encrypted images: each sector is enciphered for the place where it lies, whichever way it comes there. */

import { SeededRandom, type Actor, type LabDisk, type Scenario } from "@coblock/testing";
import {
  CLUSTER,
  DISK_FILE,
  type Filled,
  QCOW2_DRIVERS,
  QCOW2_SECRETS,
  type Qcow2DiskOptions,
  qcow2Disk,
  TABLE_SPAN,
} from "./qcow2-images.ts";
import { expectSnapshotKept } from "./qcow2-snapshot.ts";

const LARGE = 4 * CLUSTER;
const SEED = 12;

const encrypted = (options: Qcow2DiskOptions): Qcow2DiskOptions => ({ ...options, encrypted: true });

/** Clusters of several sectors, so that a write of one keeps the others. */
const FILLED: readonly Filled[] = [
  { offset: 0, length: 2 * LARGE },
  { offset: 2 * LARGE, length: LARGE, how: "reserved" },
];

const scenario = (rest: Pick<Scenario, "name" | "about" | "prepare">): Scenario => ({
  ...rest,
  drivers: QCOW2_DRIVERS,
  secrets: QCOW2_SECRETS,
  storage: { completions: "either" },
});

/** Two of the four sectors of one new cluster, and one of an old one. */
export const qcow2EncryptedFresh: Scenario = scenario({
  name: "qcow2-encrypted-fresh",
  about: "two writers to sectors of one new encrypted cluster, and a third to one that there is",
  async prepare(lab) {
    const disk = await qcow2Disk(lab, encrypted({ clusterSize: LARGE, size: 64 * LARGE, filled: FILLED }));
    return {
      actors: {
        A: (actor) => actor.write(disk, 3 * LARGE, CLUSTER),
        B: (actor) => actor.write(disk, 3 * LARGE + CLUSTER, CLUSTER),
        C: (actor) => actor.write(disk, CLUSTER, CLUSTER),
      },
    };
  },
});

/** A cluster that a snapshot shares, one that only has its place, and one that the backing file shows. */
export const qcow2EncryptedCopies: Scenario = scenario({
  name: "qcow2-encrypted-copies",
  about: "parts of encrypted clusters are written that a snapshot shares, that read as zeros, and that the backing file shows",
  async prepare(lab) {
    const options = { clusterSize: LARGE, refcountBits: 16, size: 64 * LARGE, filled: FILLED, backing: 5 * LARGE, snapshot: true };
    const disk = await qcow2Disk(lab, encrypted(options));
    const before = lab.storage.contentOf(DISK_FILE);
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, CLUSTER, CLUSTER);
          await actor.flush(disk);
        },
        B: (actor) => actor.write(disk, 2 * LARGE + 100, 200),
        C: (actor) => actor.write(disk, 4 * LARGE, CLUSTER),
      },
      judge: async () => expectSnapshotKept(before, lab.storage.contentOf(DISK_FILE)),
    };
  },
});

/** A storm of requests of all kinds but compressed ones, which encrypted images do not have. */
export const qcow2EncryptedStorm: Scenario = scenario({
  name: "qcow2-encrypted-storm",
  about: "three actors with requests of all kinds to an encrypted image over a backing file, and a snapshot shares all that there was",
  async prepare(lab) {
    const disk = await qcow2Disk(lab, encrypted(STORM));
    const before = lab.storage.contentOf(DISK_FILE);
    const actors = ["A", "B", "C"].map((name, index) => {
      const random = new SeededRandom(SEED * 3 + index);
      return [name, (actor: Actor) => requestsOf(actor, disk, random)] as const;
    });
    return {
      actors: Object.fromEntries(actors),
      judge: async () => expectSnapshotKept(before, lab.storage.contentOf(DISK_FILE)),
    };
  },
});

const STORM: Qcow2DiskOptions = {
  refcountBits: 16,
  cachedTables: 2,
  backing: TABLE_SPAN + 700,
  snapshot: true,
  filled: [0, TABLE_SPAN, 2 * TABLE_SPAN].flatMap((start): readonly Filled[] => [
    { offset: start, length: 2 * CLUSTER },
    { offset: start + 2 * CLUSTER, length: CLUSTER, how: "reserved" },
  ]),
};

async function requestsOf(actor: Actor, disk: LabDisk, random: SeededRandom): Promise<void> {
  for (let done = 0; done < 6; done++) await request(actor, disk, random);
}

function request(actor: Actor, disk: LabDisk, random: SeededRandom): Promise<boolean> {
  const offset = random.below(3) * TABLE_SPAN + random.below(5) * CLUSTER;
  const length = random.between(1, 2) * CLUSTER;
  switch (random.below(7)) {
    case 0:
      return actor.read(disk, offset, length);
    case 1:
    case 2:
      return actor.write(disk, offset, length);
    case 3:
      return actor.write(disk, offset + random.below(CLUSTER), random.between(1, CLUSTER));
    case 4:
      return actor.writeZeroes(disk, offset, length, random.chance(0.5));
    case 5:
      return actor.discard(disk, offset, length, "zero");
    default:
      return actor.flush(disk);
  }
}
