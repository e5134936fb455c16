/** Commit and rebase beside requests, faults and power cuts: what the overlay reads as never changes but by requests. */

import { chainOf, commitDisk, rawDriver, rebaseDisk } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";
import type { Lab, LabDisk, Scenario } from "@coblock/testing";

const DRIVERS: Scenario["drivers"] = [qcow2Driver, qedDriver, rawDriver];
const TOP = "sim:top";
const BASE = "sim:base";
const OTHER = "sim:other";

/** The smallest clusters, bytes. */
const CLUSTERS = { qcow2: 512, qed: 4096 } as const;
type Format = keyof typeof CLUSTERS;

interface OverlayOptions {
  readonly format: Format;
  /** In clusters. Default as the overlay, 4. */
  readonly baseClusters?: number;
  readonly writableBase?: boolean;
}

/** Of four clusters: the first and the third are the overlay's own; the base has the first two and the last. */
async function overlayDisk(lab: Lab, { format, baseClusters = 4, writableBase = false }: OverlayOptions): Promise<LabDisk> {
  const unit = CLUSTERS[format];
  await lab.file(BASE, async () => {
    const bytes = new Uint8Array(baseClusters * unit);
    for (const cluster of [0, 1, 3]) if (cluster < baseClusters) bytes.set(lab.pattern(unit), cluster * unit);
    return bytes;
  });
  const values = { cluster_size: unit };
  await lab.image({ driver: format, filename: TOP, size: 4 * unit, values, backing: { filename: BASE, format: "raw" } }, async (graph) => {
    const node = await graph.open(TOP);
    for (const cluster of [0, 2]) await node.write(cluster * unit, lab.pattern(unit));
  });
  return lab.open("disk", TOP, writableBase ? { writableBacking: 1 } : {});
}

function commit(disk: LabDisk): Promise<unknown> {
  const base = chainOf(disk.node)[1];
  if (base === undefined) throw new Error("the overlay has a base");
  return commitDisk({ overlay: disk.node, base });
}

async function rebase(lab: Lab, disk: LabDisk): Promise<void> {
  const node = await lab.graph.open(OTHER, { driver: "raw", readOnly: true });
  try {
    await rebaseDisk({ overlay: disk.node, backing: { filename: OTHER, format: "raw", node } });
  } finally {
    await node[Symbol.asyncDispose]();
  }
}

/** Its second cluster is that of the base, all the rest differs, and it is longer. */
async function otherFile(lab: Lab, format: Format): Promise<void> {
  const unit = CLUSTERS[format];
  const base = lab.storage.contentOf(BASE);
  await lab.file(OTHER, async () => {
    const bytes = new Uint8Array(5 * unit);
    bytes.set(base.subarray(unit, 2 * unit), unit);
    for (const cluster of [2, 4]) bytes.set(lab.pattern(unit), cluster * unit);
    return bytes;
  });
}

function commitBesideRequests(format: Format): Scenario {
  const unit = CLUSTERS[format];
  return {
    name: `${format}-commit`,
    about: "an overlay is committed while its clusters are written and read",
    drivers: DRIVERS,
    storage: { completions: "later" },
    async prepare(lab) {
      const disk = await overlayDisk(lab, { format, baseClusters: 3, writableBase: true });
      return {
        actors: {
          job: (actor) => actor.does("commit", async () => void (await commit(disk))),
          writer: (actor) => actor.write(disk, 512, unit),
          reader: (actor) => actor.read(disk, 0, 4 * unit),
        },
      };
    },
  };
}

function commitStorm(format: Format): Scenario {
  const unit = CLUSTERS[format];
  return {
    name: `${format}-commit-storm`,
    about: "an overlay is committed twice beside writes, zeros, discards and flushes",
    drivers: DRIVERS,
    storage: { completions: "either" },
    async prepare(lab) {
      const disk = await overlayDisk(lab, { format, writableBase: true });
      return {
        actors: {
          job: (actor) =>
            actor.does("commit twice", async () => {
              await commit(disk);
              await commit(disk);
            }),
          writer: async (actor) => {
            await actor.write(disk, unit - 512, 1024);
            await actor.flush(disk);
            await actor.write(disk, 2 * unit, unit);
          },
          zeroer: async (actor) => {
            await actor.writeZeroes(disk, unit, unit, true);
            await actor.discard(disk, 3 * unit, unit);
          },
          reader: async (actor) => {
            await actor.read(disk, 0, 2 * unit);
            await actor.read(disk, 0, 4 * unit);
          },
        },
      };
    },
  };
}

function commitFails(format: Format): Scenario {
  const unit = CLUSTERS[format];
  return {
    name: `${format}-commit-eio`,
    about: "a write or flush fails while an overlay is committed",
    drivers: DRIVERS,
    storage: { completions: "later" },
    async prepare(lab) {
      const disk = await overlayDisk(lab, { format, writableBase: true });
      lab.storage.fault({ effect: "EIO", when: "choose", match: ({ kind, file }) => file === BASE && kind !== "read" });
      return {
        actors: {
          job: (actor) => actor.does("commit", async () => void (await commit(disk))),
          reader: (actor) => actor.read(disk, 0, 4 * unit),
        },
      };
    },
  };
}

function rebaseBesideRequests(format: Format): Scenario {
  const unit = CLUSTERS[format];
  return {
    name: `${format}-rebase`,
    about: "an overlay is rebased while a cluster that differs is written and read",
    drivers: DRIVERS,
    storage: { completions: "later" },
    async prepare(lab) {
      const disk = await overlayDisk(lab, { format });
      await otherFile(lab, format);
      return {
        actors: {
          job: (actor) => actor.does("rebase", () => rebase(lab, disk)),
          writer: (actor) => actor.write(disk, 3 * unit, 512),
          reader: (actor) => actor.read(disk, unit, 3 * unit),
        },
      };
    },
  };
}

function rebaseStorm(format: Format): Scenario {
  const unit = CLUSTERS[format];
  return {
    name: `${format}-rebase-storm`,
    about: "an overlay is rebased beside writes, zeros, discards and flushes",
    drivers: DRIVERS,
    storage: { completions: "either" },
    async prepare(lab) {
      const disk = await overlayDisk(lab, { format, baseClusters: 2 });
      await otherFile(lab, format);
      return {
        actors: {
          job: (actor) => actor.does("rebase", () => rebase(lab, disk)),
          writer: async (actor) => {
            await actor.write(disk, 4 * unit - 512, 512);
            await actor.flush(disk);
            await actor.write(disk, unit, unit);
          },
          zeroer: async (actor) => {
            await actor.writeZeroes(disk, 2 * unit, unit, true);
            await actor.discard(disk, 0, unit);
          },
          reader: async (actor) => {
            await actor.read(disk, unit, 2 * unit);
            await actor.read(disk, 0, 4 * unit);
          },
        },
      };
    },
  };
}

function flatten(format: Format): Scenario {
  const unit = CLUSTERS[format];
  return {
    name: `${format}-flatten`,
    about: "an overlay gets all that it shows and loses its backing file, then it is written",
    drivers: DRIVERS,
    storage: { completions: "later" },
    async prepare(lab) {
      const disk = await overlayDisk(lab, { format, baseClusters: 2 });
      return {
        actors: {
          job: async (actor) => {
            await actor.does("flatten", () => rebaseDisk({ overlay: disk.node, backing: undefined }));
            await actor.write(disk, 3 * unit, unit);
            await actor.flush(disk);
            await actor.write(disk, unit, 512);
          },
        },
      };
    },
  };
}

const FORMATS: readonly Format[] = ["qcow2", "qed"];

export const JOB_SCENARIOS: readonly Scenario[] = FORMATS.flatMap((format) => [
  commitBesideRequests(format),
  commitStorm(format),
  commitFails(format),
  rebaseBesideRequests(format),
  rebaseStorm(format),
  flatten(format),
]);
