/** Hazards: refcounts that are wrong from the beginning, and tables that grow, of qcow2. */

import { BlockError } from "@coblock/core";
import { RunFailure, type Actor, type LabDisk, type Scenario, type SimFaultRule } from "@coblock/testing";
import { CLUSTER, DISK_FILE, QCOW2_DRIVERS, qcow2Disk, qcow2File, TABLE_SPAN } from "./qcow2-images.ts";

/** Where the header has its fields. */
const AT = { refcountTable: 48, incompatible: 72 };
const CORRUPT = 2;

/** The first cluster that the refcounts call free is the header's: nothing may be allocated, and the image says that it is corrupt. */
function damagedRefcounts(name: string, about: string, damage: (image: Buffer) => void): Scenario {
  return {
    name,
    about,
    drivers: QCOW2_DRIVERS,
    storage: { completions: "later" },
    async prepare(lab) {
      const filled = [{ offset: 0, length: CLUSTER }];
      const graph = lab.newGraph();
      const disk = await graph.open(await qcow2File(lab, { filled, damage }));
      const before = lab.storage.contentOf(DISK_FILE);
      before[AT.incompatible + 7] = CORRUPT;
      const refused = (actor: Actor, work: () => Promise<void>): Promise<boolean> =>
        actor.does("a change that needs space", () => expectRefusal(work));
      return {
        actors: {
          A: (actor) => refused(actor, () => disk.write(8 * CLUSTER, new Uint8Array(CLUSTER))),
          B: (actor) => refused(actor, () => disk.writeCompressed(9 * CLUSTER, new Uint8Array(CLUSTER))),
          C: (actor) => refused(actor, () => disk.write(TABLE_SPAN, new Uint8Array(CLUSTER))),
        },
        judge: async () => {
          await expectRefusal(() => graph[Symbol.asyncDispose]());
          const after = lab.storage.contentOf(DISK_FILE).subarray(0, before.length);
          if (Buffer.compare(before, after) !== 0)
            throw new RunFailure("wrong", "the damaged image was changed, beyond the mark that it is corrupt");
        },
      };
    },
  };
}

async function expectRefusal(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof BlockError && error.code === "CORRUPT_IMAGE") return;
    throw error;
  }
  throw new RunFailure("wrong", "the refcounts call the header free, and nothing is refused");
}

export const qcow2HeaderFree: Scenario = damagedRefcounts(
  "qcow2-header-free",
  "the refcount of the header is zero, and three requests need space",
  (image) => image.fill(0, firstBlock(image), firstBlock(image) + 8),
);

export const qcow2NoBlock: Scenario = damagedRefcounts(
  "qcow2-no-block",
  "the first refcount block is missing, and three requests need space",
  (image) => {
    const table = image.readUIntBE(AT.refcountTable + 2, 6);
    image.fill(0, table, table + 8);
  },
);

function firstBlock(image: Buffer): number {
  return image.readUIntBE(image.readUIntBE(AT.refcountTable + 2, 6) + 2, 6);
}

/** With 64 bits a refcount table of one cluster counts 2 MiB of file, and so much is in use but for a few clusters. */
const NEARLY_FULL = { size: 70 * TABLE_SPAN, filled: [{ offset: 0, length: 3956 * CLUSTER, how: "reserved" }] } as const;
const UNUSED = 64 * TABLE_SPAN;

function growth(name: string, about: string, fault?: SimFaultRule["effect"]): Scenario {
  return {
    name,
    about,
    drivers: QCOW2_DRIVERS,
    storage: { completions: "later" },
    async prepare(lab) {
      const disk = await qcow2Disk(lab, NEARLY_FULL);
      if (fault !== undefined)
        lab.storage.fault({ effect: fault, match: ({ kind }) => kind === "write" || kind === "flush", when: "choose" });
      return {
        actors: {
          A: async (actor) => {
            await actor.write(disk, UNUSED, 20 * CLUSTER);
            await actor.flush(disk);
            await actor.write(disk, UNUSED + TABLE_SPAN, 2 * CLUSTER);
          },
          B: (actor) => actor.write(disk, UNUSED + 40 * CLUSTER, CLUSTER),
        },
      };
    },
  };
}

export const qcow2Growth: Scenario = growth("qcow2-growth", "the refcount table is full, and grows while two requests want space");
export const qcow2GrowthEio: Scenario = growth("qcow2-growth-eio", "the refcount table grows, and one write or flush fails", "EIO");
export const qcow2GrowthShort: Scenario = growth(
  "qcow2-growth-short",
  "the refcount table grows, and one write does half of what it should",
  "short",
);

export const qcow2GrowthUnheard: Scenario = growth(
  "qcow2-growth-unheard",
  "the refcount table grows, and one write or flush is done and told as failed",
  "unheard",
);

const RESIZED = 2 * 70 * TABLE_SPAN;

/** The L1 table moves. The disk must read as before, and what is behind as zeros. */
function resize(name: string, about: string, fault?: SimFaultRule["effect"]): Scenario {
  return {
    name,
    about,
    drivers: QCOW2_DRIVERS,
    storage: { completions: "later" },
    async prepare(lab) {
      const disk = await qcow2Disk(lab, { size: 2 * TABLE_SPAN, filled: [{ offset: 0, length: 40 * CLUSTER }] });
      if (fault !== undefined)
        lab.storage.fault({ effect: fault, match: ({ kind }) => kind === "write" || kind === "flush", when: "choose" });
      return {
        actors: {
          A: async (actor) => {
            await actor.write(disk, 60 * CLUSTER, CLUSTER);
            await grow(actor, disk);
            await actor.write(disk, 61 * CLUSTER, CLUSTER);
            await actor.flush(disk);
            await actor.write(disk, TABLE_SPAN, CLUSTER);
          },
        },
      };
    },
  };
}

function grow(actor: Actor, disk: LabDisk): Promise<boolean> {
  return actor.does("resize", async () => {
    await disk.node.resize(RESIZED);
    disk.model.resize(RESIZED);
  });
}

export const qcow2Resize: Scenario = resize("qcow2-resize", "the disk grows and needs a longer L1 table");
export const qcow2ResizeEio: Scenario = resize("qcow2-resize-eio", "the disk grows, and one write or flush fails", "EIO");
export const qcow2ResizeUnheard: Scenario = resize(
  "qcow2-resize-unheard",
  "the disk grows, and one write or flush is done and told as failed",
  "unheard",
);
