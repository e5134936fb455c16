/** Cases that the lab runs: under many schedules, and with the power cut at every write and flush. */

import type { DescribedNode } from "@coblock/core";
import { SeededRandom } from "../seeded-random.ts";
import type { Actor } from "../lab/actor.ts";
import { expectNoFailure } from "../lab/explore.ts";
import type { Lab } from "../lab/lab.ts";
import type { LabDisk } from "../lab/lab-disk.ts";
import { expectPowerCutsHarmless } from "../lab/power-cut.ts";
import type { Play, Scenario } from "../lab/scenario.ts";
import type { SimStorageOptions } from "../lab/sim-storage.ts";
import { patternOf } from "./patterns.ts";
import type { DriverSubject, Site } from "./subject.ts";

/** One case, run by the lab: storage and order of events are the lab's own. */
export interface ExploredCase {
  readonly name: string;
  /** Absent: every subject. */
  applies?(subject: DriverSubject): boolean;
  run(subject: DriverSubject): Promise<void>;
}

/** Seeds of a random case, and where a walk stops: the suite runs on every driver, long runs are for `explore` alone. */
const SEEDS = 30;
const MOST_SCHEDULES = 100;
/** Runs of images with larger clusters, or that open slowly, cost more: there are so many times fewer of them. */
const USUAL_CLUSTER_SIZE = 65_536;
/** So many times fewer of a subject that another one is much like. */
const SAMPLE_STEP = 3;

/** For drivers whose bytes are all on the suite's storage, and stay there. */
export function exploredCasesOf(subject: DriverSubject): readonly ExploredCase[] {
  const { writable, stores, persistent, overTestStorage } = subject;
  return writable === false || stores === false || persistent === false || overTestStorage === false
    ? []
    : CASES.filter((spec) => spec.applies?.(subject) ?? true);
}

const CASES: readonly ExploredCase[] = [
  {
    name: "two writes and a read of one cluster, under every schedule (up to a bound)",
    run: async (subject) => {
      const scenario = scenarioOf(subject, "one-cluster", { completions: "later" }, oneCluster);
      await expectNoFailure(scenario, { mode: "exhaustive", maxSchedules: fewer(MOST_SCHEDULES, subject) });
    },
  },
  {
    name: "requests of three actors, under schedules by chance",
    run: async (subject) => {
      const scenario = scenarioOf(subject, "three-actors", {}, (disk) => anyRequests(subject, disk, 3, 3));
      await expectNoFailure(scenario, { mode: "random", seeds: fewer(SEEDS, subject) });
    },
  },
  {
    name: "an operation of the storage that fails, whichever it is, under schedules by chance",
    run: async (subject) => {
      for (const effect of ["EIO", "short"] as const) {
        const scenario = scenarioOf(subject, `a-fault-${effect}`, {}, (disk, lab) => {
          lab.storage.fault({ effect, when: "choose", match: ({ file }) => file.startsWith("sim:image") });
          return anyRequests(subject, disk, 2, 3);
        });
        await expectNoFailure(scenario, { mode: "random", seeds: fewer(SEEDS, subject) });
      }
    },
  },
  {
    name: "power cuts at every write and flush",
    applies: (subject) => subject.tearsSectors !== true,
    run: async (subject) => {
      const scenario = scenarioOf(subject, "power-cuts", {}, (disk) => anyRequests(subject, disk, 2, 5));
      await expectPowerCutsHarmless(scenario, {
        seeds: subject.opensSlowly === true || subject.sampled === true ? [] : [1, 2],
        bound: fewer(6, subject),
      });
    },
  },
];

function fewer(count: number, { clusterSize, opensSlowly = false, sampled = false }: DriverSubject): number {
  const times = Math.max(opensSlowly ? 6 : 1, clusterSize / USUAL_CLUSTER_SIZE) * (sampled ? SAMPLE_STEP : 1);
  return Math.max(2, Math.ceil(count / times));
}

/** The subject's image on simulated storage, over a backing file where it takes one. */
function scenarioOf(
  subject: DriverSubject,
  name: string,
  storage: SimStorageOptions,
  play: (disk: LabDisk, lab: Lab) => Play["actors"],
): Scenario {
  return {
    name,
    about: subject.name,
    drivers: subject.drivers,
    ...(subject.secrets === undefined ? {} : { secrets: subject.secrets }),
    storage,
    prepare: async (lab) => {
      const disk = await imageOf(subject, lab);
      // A new image in a file that cannot shrink has clusters that nobody owns.
      const leaks = (await disk.node.check({ repair: "none" }))?.leaks ?? 0;
      return { actors: play(disk, lab), ...(leaks > 0 ? { leaksAllowed: true } : {}) };
    },
  };
}

async function imageOf(subject: DriverSubject, lab: Lab): Promise<LabDisk> {
  const backing: DescribedNode | undefined =
    subject.backing === true ? { driver: "sim", filename: "sim:backing", readOnly: true } : undefined;
  await lab.file("sim:backing", async () => patternOf(90, 0, Math.min(subject.diskSize - 300, 6 * subject.clusterSize + 100)));
  await using graph = lab.newGraph();
  const site: Site = {
    graph,
    storage: lab.storage,
    size: subject.diskSize,
    serial: 0,
    fileName: (part) => (part === undefined ? "sim:image" : `sim:image.${part}`),
    ...(backing === undefined ? {} : { backing }),
  };
  await subject.create(site);
  await graph[Symbol.asyncDispose]();
  return await lab.open("disk", subject.describe(site), { judgedAs: subject.describe(site, true) });
}

function oneCluster(disk: LabDisk): Play["actors"] {
  return {
    A: (actor) => actor.write(disk, 0, 1024),
    B: (actor) => actor.write(disk, 512, 1024),
    C: (actor) => actor.read(disk, 0, 2048),
  };
}

/** The same requests in every run: only their order differs. Around cluster borders, aligned and not. */
function anyRequests(subject: DriverSubject, disk: LabDisk, actors: number, requests: number): Play["actors"] {
  const random = new SeededRandom(5);
  const named = Array.from({ length: actors }, (_, index) => {
    const acts = Array.from({ length: requests }, () => requestOf(subject, disk, random));
    const all = async (actor: Actor): Promise<void> => {
      for (const act of acts) await act(actor);
    };
    return [String.fromCodePoint(65 + index), all] as const;
  });
  return Object.fromEntries(named);
}

function requestOf({ clusterSize, discardReads }: DriverSubject, disk: LabDisk, random: SeededRandom): (actor: Actor) => Promise<unknown> {
  const near = clusterSize * random.below(Math.min(4, Math.floor(disk.node.size / clusterSize)));
  const offset = Math.min(near + random.pick([0, 0, 512, 100]), disk.node.size - 1);
  const length = Math.min(random.pick([512, 700, clusterSize, clusterSize + 512]), disk.node.size - offset);
  const mayUnmap = random.chance(0.5);
  const reads = discardReads === undefined || discardReads === "same" ? "zero or same" : discardReads;
  const kinds: readonly ((actor: Actor) => Promise<unknown>)[] = [
    (actor) => actor.write(disk, offset, length),
    (actor) => actor.write(disk, offset, length),
    (actor) => actor.read(disk, offset, length),
    (actor) => actor.writeZeroes(disk, offset, length, mayUnmap),
    (actor) => actor.discard(disk, offset, length, reads),
    (actor) => actor.flush(disk),
  ];
  return random.pick(kinds);
}
