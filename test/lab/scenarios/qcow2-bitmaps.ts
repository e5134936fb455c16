/** Persistent bitmaps through several lives of an image: while the power goes, and where the disk fails. */

import type { Actor, Lab, Scenario, SimFaultRule } from "@coblock/testing";
import { BitmapLedger } from "./bitmap-ledger.ts";
import { CLUSTER, QCOW2_DRIVERS, qcow2File, TABLE_SPAN } from "./qcow2-images.ts";

/** So large that a bitmap with a bit for each 512 bytes takes two clusters, and one for 1024 bytes does when the disk has grown. */
const SIZE = 80 * TABLE_SPAN;

/** Opens and closes the image four times: bitmaps are made and follow, are changed by hand, grow with the disk, and go. */
async function lives(lab: Lab, actor: Actor, ledger: BitmapLedger): Promise<void> {
  await ledger.session(actor, async ({ node, begin, change }) => {
    const write = (offset: number): Promise<boolean> => change("write", () => node.write(offset, lab.pattern(700)));
    await write(0);
    for (const name of ["fine", "coarse"]) {
      await begin(name);
      await change(`add '${name}'`, () => node.bitmaps.add({ name, granularity: name === "fine" ? 512 : 1024, persistent: true }));
    }
    await write(8 * CLUSTER + 100);
    await write(SIZE - 1000);
  });
  await ledger.session(actor, async ({ node, usable, change }) => {
    // In place, where nothing stands between the mark and the data.
    await change("write", () => node.write(0, lab.pattern(CLUSTER)));
    await change("write", () => node.write(2 * TABLE_SPAN, lab.pattern(CLUSTER)));
    await change("zeros", () => node.writeZeroes(8 * CLUSTER, 3 * CLUSTER, { mayUnmap: true }));
    await change("flush", () => node.flush());
    await change("write", () => node.write(TABLE_SPAN, lab.pattern(100)));
    if (usable("coarse")) await change("disable 'coarse'", () => node.bitmaps.disable("coarse"));
  });
  await ledger.session(actor, async ({ node, usable, begin, change }) => {
    if (usable("fine")) {
      await begin("fine");
      await change("clear 'fine'", () => node.bitmaps.clear("fine"));
    }
    await change("write", () => node.write(5 * TABLE_SPAN, lab.pattern(2 * CLUSTER)));
    await change("grow", () => node.resize(SIZE + 60 * TABLE_SPAN));
    await change("write", () => node.write(SIZE + TABLE_SPAN, lab.pattern(CLUSTER)));
  });
  await ledger.session(actor, async ({ node, usable, begin, change }) => {
    if (usable("coarse")) {
      await begin("coarse");
      await change("enable 'coarse'", () => node.bitmaps.enable("coarse"));
      if (usable("fine")) await change("merge", () => node.bitmaps.merge("coarse", ["fine"]));
    }
    await change("write", () => node.write(6 * TABLE_SPAN, lab.pattern(CLUSTER)));
    for (const { name } of node.bitmaps.loaded.slice(0, 1)) await change(`remove '${name}'`, () => node.bitmaps.remove(name));
  });
  await ledger.session(actor, async ({ node, change }) => {
    for (const { name } of node.bitmaps.loaded) await change(`remove '${name}'`, () => node.bitmaps.remove(name));
    await change("write", () => node.write(0, lab.pattern(CLUSTER)));
  });
}

function lifeScenario(name: string, about: string, fault?: SimFaultRule["effect"]): Scenario {
  return {
    name,
    about,
    drivers: QCOW2_DRIVERS,
    storage: { completions: "at once" },
    async prepare(lab) {
      const ledger = new BitmapLedger(lab, await qcow2File(lab, { size: SIZE, refcountBits: 16 }));
      if (fault !== undefined) lab.storage.fault({ effect: fault, match: ({ kind }) => kind !== "read", when: "choose" });
      return { actors: { A: (actor) => lives(lab, actor, ledger) } };
    },
  };
}

export const QCOW2_BITMAP_SCENARIOS: readonly Scenario[] = [
  lifeScenario("qcow2-bitmap-life", "bitmaps are made, follow, are changed by hand, grow and go, from opening to opening"),
  lifeScenario("qcow2-bitmap-eio", "bitmaps live, and one write, discard or flush fails", "EIO"),
  lifeScenario("qcow2-bitmap-enospc", "bitmaps live, and once there is no space left", "ENOSPC"),
  lifeScenario("qcow2-bitmap-short", "bitmaps live, and one write does only half of what it should", "short"),
  lifeScenario("qcow2-bitmap-unheard", "bitmaps live, and one write, discard or flush is done and told as failed", "unheard"),
];
