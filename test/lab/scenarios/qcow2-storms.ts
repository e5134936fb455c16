/** Many requests of all kinds to a few clusters, from a seed: what they do is fixed, their order is the schedule's. */

import { SeededRandom, type Actor, type Lab, type LabDisk, type Scenario, type SimFaultRule } from "@coblock/testing";
import { CLUSTER, DISK_FILE, type Filled, QCOW2_DRIVERS, type Qcow2DiskOptions, qcow2Disk, TABLE_SPAN } from "./qcow2-images.ts";
import { expectSnapshotKept } from "./qcow2-snapshot.ts";

/** What a storm is like. */
interface Storm {
  readonly name: string;
  readonly about: string;
  readonly seed: number;
  readonly disk: Qcow2DiskOptions;
  /** Default 3. */
  readonly actors?: number;
  /** Each actor makes so many requests. */
  readonly requests: number;
  readonly completions?: "at once" | "either";
  /** One fault, at a place of the schedule's choice. */
  readonly fault?: SimFaultRule["effect"];
}

const ACTORS = ["A", "B", "C"] as const;
/** Clusters of each L2 table that the requests meet in. */
const HOT_CLUSTERS = 4;
/** Bytes. */
const PERIOD = 64;

/** In every L2 table one of each. */
function mixed(clusterSize: number, tables: number): readonly Filled[] {
  const span = (clusterSize / 8) * clusterSize;
  const kinds = ["data", "compressed", "reserved"] as const;
  return Array.from({ length: tables }, (_, table) => table * span).flatMap((start) =>
    kinds.map((how, index): Filled => ({ offset: start + index * clusterSize, length: clusterSize, how })),
  );
}

function storm({
  name,
  about,
  seed,
  disk: options,
  actors: count = ACTORS.length,
  requests,
  completions = "either",
  fault,
}: Storm): Scenario {
  return {
    name,
    about,
    drivers: QCOW2_DRIVERS,
    storage: { completions },
    async prepare(lab) {
      const disk = await qcow2Disk(lab, options);
      const before = lab.storage.contentOf(DISK_FILE);
      if (fault !== undefined) lab.storage.fault({ effect: fault, match: ({ kind }) => kind !== "read", when: "choose" });
      const actors = ACTORS.slice(0, count).map((actorName, index) => {
        const random = new SeededRandom(seed * ACTORS.length + index);
        const clusterSize = options.clusterSize ?? CLUSTER;
        return [actorName, (actor: Actor) => requestsOf({ lab, actor, disk, random, clusterSize }, requests)] as const;
      });
      const judge = async (): Promise<void> => expectSnapshotKept(before, lab.storage.contentOf(DISK_FILE));
      return { actors: Object.fromEntries(actors), ...(options.snapshot === true ? { judge } : {}) };
    },
  };
}

/** Who asks for what, and where. */
interface Asking {
  readonly lab: Lab;
  readonly actor: Actor;
  readonly disk: LabDisk;
  readonly random: SeededRandom;
  readonly clusterSize: number;
}

async function requestsOf(asking: Asking, requests: number): Promise<void> {
  for (let done = 0; done < requests; done++) await request(asking);
}

function request({ lab, actor, disk, random, clusterSize }: Asking): Promise<boolean> {
  const span = (clusterSize / 8) * clusterSize;
  const offset = random.below(disk.node.size / span) * span + random.below(HOT_CLUSTERS) * clusterSize;
  const length = random.between(1, 2) * clusterSize;
  switch (random.below(9)) {
    case 0:
      return actor.read(disk, offset, length);
    case 1:
      return actor.write(disk, offset, length);
    case 2:
      return actor.write(disk, offset + random.below(clusterSize), random.between(1, clusterSize));
    case 3:
      return actor.writeZeroes(disk, offset, length, random.chance(0.5));
    case 4:
      return actor.discard(disk, offset, length, "zero");
    case 5:
      return actor.writeCompressed(disk, offset, clusterSize);
    case 6:
    case 7:
      return actor.writeCompressed(disk, offset, repeated(lab.pattern(PERIOD), clusterSize));
    default:
      return actor.flush(disk);
  }
}

/** Compresses so well that a cluster has room for several. */
function repeated(bytes: Uint8Array, length: number): Uint8Array {
  const all = new Uint8Array(length);
  for (let at = 0; at < length; at += bytes.length) all.set(bytes, at);
  return all;
}

const PLAIN: Qcow2DiskOptions = { cachedTables: 2, cachedBlocks: 4, filled: mixed(CLUSTER, 3) };
const LARGE_CLUSTER = 2 * CLUSTER;
const PACKED: Qcow2DiskOptions = { clusterSize: LARGE_CLUSTER, size: (LARGE_CLUSTER * LARGE_CLUSTER) / 4, filled: mixed(LARGE_CLUSTER, 2) };
const SHARED: Qcow2DiskOptions = { refcountBits: 16, cachedTables: 2, filled: mixed(CLUSTER, 3), snapshot: true };
const OVERLAY: Qcow2DiskOptions = { cachedTables: 2, filled: mixed(CLUSTER, 3), backing: TABLE_SPAN + 700 };

export const qcow2Storm: Scenario = storm({
  name: "qcow2-storm",
  about: "three actors, requests of all kinds, room for two L2 tables",
  seed: 1,
  disk: PLAIN,
  requests: 6,
});

export const qcow2StormPacked: Scenario = storm({
  name: "qcow2-storm-packed",
  about: "the same with clusters that hold several compressed ones",
  seed: 2,
  disk: PACKED,
  requests: 6,
});

export const qcow2StormShared: Scenario = storm({
  name: "qcow2-storm-shared",
  about: "the same, and a snapshot shares all that there was",
  seed: 3,
  disk: SHARED,
  requests: 6,
});

export const qcow2StormOverlay: Scenario = storm({
  name: "qcow2-storm-overlay",
  about: "the same over a backing file that ends in the middle of a cluster",
  seed: 4,
  disk: OVERLAY,
  requests: 6,
});

export const qcow2StormLazy: Scenario = storm({
  name: "qcow2-storm-lazy",
  about: "the same with lazy refcounts, and a snapshot shares all that there was",
  seed: 11,
  disk: { ...SHARED, lazy: true },
  requests: 6,
});

export const qcow2StormPlaces: Scenario = storm({
  name: "qcow2-storm-places",
  about: "the same where discarded clusters keep their place, and a snapshot shares all that there was",
  seed: 12,
  disk: { ...SHARED, keepsPlaces: true },
  requests: 6,
});

export const qcow2StormEio: Scenario = storm({
  name: "qcow2-storm-eio",
  about: "requests of all kinds, and one write, discard or flush fails",
  seed: 5,
  disk: SHARED,
  requests: 4,
  fault: "EIO",
});

export const qcow2StormEnospc: Scenario = storm({
  name: "qcow2-storm-enospc",
  about: "requests of all kinds over a backing file, and once there is no space left",
  seed: 6,
  disk: OVERLAY,
  requests: 4,
  fault: "ENOSPC",
});

export const qcow2StormShort: Scenario = storm({
  name: "qcow2-storm-short",
  about: "requests of all kinds, and one write does only half of what it should",
  seed: 7,
  disk: PACKED,
  requests: 4,
  fault: "short",
});

/** One after the other: a walk over all schedules has the fault at every write, discard and flush once. */
function failingOnce(fault: SimFaultRule["effect"], seed: number, disk: Qcow2DiskOptions): Scenario {
  const about = `requests of all kinds one after the other, of which one write, discard or flush fails (${fault})`;
  return storm({ name: `qcow2-each-${fault.toLowerCase()}`, about, seed, disk, actors: 1, requests: 30, completions: "at once", fault });
}

export const qcow2EachEio: Scenario = failingOnce("EIO", 8, SHARED);
export const qcow2EachEnospc: Scenario = failingOnce("ENOSPC", 9, PACKED);
export const qcow2EachShort: Scenario = failingOnce("short", 10, OVERLAY);
