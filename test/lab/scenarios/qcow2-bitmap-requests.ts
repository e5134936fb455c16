/** Requests of all kinds while the bitmaps that follow them are cleared, switched, made, merged and removed. */

import type { BlockGraph, DirtyBitmap, DirtyExtent, NodeOptions } from "@coblock/core";
import { type Actor, type Lab, type LabDisk, RunFailure, type Scenario } from "@coblock/testing";
import { expectDirty, FollowedBitmap } from "./followed-bitmap.ts";
import { CLUSTER, QCOW2_DRIVERS, qcow2File, TABLE_SPAN } from "./qcow2-images.ts";

/** The image has the first two from the beginning; the third is made while requests run. */
class Bitmaps {
  readonly kept = new FollowedBitmap("kept", CLUSTER, "on");
  readonly still = new FollowedBitmap("still", CLUSTER, "off");
  readonly made = new FollowedBitmap("made", CLUSTER, "off");
  readonly #disk: LabDisk;
  /** All, once the image was closed. */
  #stored: readonly Described[] | undefined;
  #working = 3;

  constructor(disk: LabDisk) {
    this.#disk = disk;
  }

  /** What is on disk at this moment, judged with what was known then. */
  judgeNow(): (graph: BlockGraph) => Promise<void> {
    const stored = this.#stored;
    const must = new Map([this.kept, this.still].map((followed) => [followed.name, followed.must]));
    return async (graph) => {
      await using node = await graph.open(this.#disk.options, { readOnly: true });
      const bitmaps = await node.bitmaps.all();
      for (const bitmap of bitmaps)
        if (!bitmap.inconsistent) for (const granule of must.get(bitmap.name) ?? []) expectDirty(bitmap, granule);
      if (stored !== undefined && !isKept(stored, bitmaps.map(describe)))
        throw new RunFailure("wrong", `the image was closed with other bitmaps than ${JSON.stringify(bitmaps.map(describe))}`);
    };
  }

  /** A request, as all bitmaps see it. */
  async follow(offset: number, length: number, request: () => Promise<boolean>): Promise<void> {
    const ended = [this.kept, this.still, this.made].map((followed) => followed.began({ offset, length }));
    await request();
    for (const end of ended) end();
  }

  /** The last actor that ends looks at the bitmaps and closes the image. */
  async ends(actor: Actor): Promise<void> {
    if (--this.#working > 0) return;
    const { node } = this.#disk;
    const bitmaps = await node.bitmaps.all();
    for (const bitmap of bitmaps) [this.kept, this.still].find(({ name }) => name === bitmap.name)?.expect(bitmap);
    const closing = bitmaps.map(describe);
    await actor.does("close", () => node[Symbol.asyncDispose]());
    this.#stored = closing;
  }
}

interface Described {
  readonly name: string;
  readonly enabled: boolean;
  readonly extents: readonly DirtyExtent[];
}

function describe(bitmap: DirtyBitmap): Described {
  return { name: bitmap.name, enabled: bitmap.enabled, extents: [...bitmap.extents()] };
}

/** What the lab writes to see whether a disk works is in those that follow, besides. */
function isKept(stored: readonly Described[], found: readonly Described[]): boolean {
  return (
    stored.length === found.length &&
    stored.every((before, index) => {
      const now = found[index];
      if (now === undefined || now.name !== before.name || now.enabled !== before.enabled) return false;
      if (!now.enabled) return JSON.stringify(now.extents) === JSON.stringify(before.extents);
      const holds = ({ offset, length }: DirtyExtent): boolean =>
        now.extents.some((extent) => extent.offset <= offset && offset + length <= extent.offset + extent.length);
      return before.extents.every(holds);
    })
  );
}

/** Over what is there, and where space and tables are new. */
async function writes(actor: Actor, disk: LabDisk, bitmaps: Bitmaps): Promise<void> {
  for (const [offset, length] of [
    [0, CLUSTER],
    [TABLE_SPAN - 300, 600],
    [3 * CLUSTER, 100],
    [2 * TABLE_SPAN, 2 * CLUSTER],
  ] as const)
    await bitmaps.follow(offset, length, () => actor.write(disk, offset, length));
  await bitmaps.ends(actor);
}

async function others(actor: Actor, disk: LabDisk, bitmaps: Bitmaps): Promise<void> {
  await bitmaps.follow(CLUSTER, CLUSTER, () => actor.writeZeroes(disk, CLUSTER, CLUSTER, true));
  await bitmaps.follow(5 * CLUSTER, CLUSTER, () => actor.writeCompressed(disk, 5 * CLUSTER, new Uint8Array(CLUSTER).fill(7)));
  await actor.flush(disk);
  await bitmaps.follow(2 * CLUSTER, 2 * CLUSTER, () => actor.discard(disk, 2 * CLUSTER, 2 * CLUSTER, "zero"));
  await bitmaps.ends(actor);
}

async function changes(actor: Actor, { node }: LabDisk, bitmaps: Bitmaps): Promise<void> {
  const { kept, still, made } = bitmaps;
  const does = (what: string, work: () => Promise<unknown>) => (): Promise<unknown> => actor.does(what, async () => void (await work()));
  await still.switched(
    "on",
    does("enable", () => node.bitmaps.enable("still")),
  );
  await kept.emptied(does("clear", () => node.bitmaps.clear("kept")));
  await made.emptied(does("add", () => node.bitmaps.add({ name: "made", granularity: CLUSTER, persistent: true })));
  await still.switched(
    "off",
    does("disable", () => node.bitmaps.disable("still")),
  );
  await kept.merged(
    made,
    does("merge", () => node.bitmaps.merge("kept", ["made"])),
  );
  await made.switched(
    "off",
    does("remove", () => node.bitmaps.remove("made")),
  );
  await bitmaps.ends(actor);
}

/** An image that keeps two bitmaps. */
async function withBitmaps(lab: Lab): Promise<NodeOptions> {
  const filled = [
    { offset: 0, length: 4 * CLUSTER },
    { offset: 5 * CLUSTER, length: CLUSTER, how: "compressed" },
  ] as const;
  const options = await qcow2File(lab, { refcountBits: 16, cachedTables: 2, filled });
  await using node = await lab.graph.open(options);
  await node.bitmaps.add({ name: "kept", granularity: CLUSTER, persistent: true });
  await node.bitmaps.add({ name: "still", granularity: CLUSTER, persistent: true, enabled: false });
  return options;
}

export const qcow2BitmapRequests: Scenario = {
  name: "qcow2-bitmap-requests",
  about: "writes, zeros, discards and compressed writes beside changes of the bitmaps that follow them",
  drivers: QCOW2_DRIVERS,
  async prepare(lab) {
    const disk = await lab.open("disk", await withBitmaps(lab));
    const bitmaps = new Bitmaps(disk);
    lab.alsoJudge(() => bitmaps.judgeNow());
    return {
      actors: {
        A: (actor) => writes(actor, disk, bitmaps),
        B: (actor) => changes(actor, disk, bitmaps),
        C: (actor) => others(actor, disk, bitmaps),
      },
    };
  },
};
