/** A disk that becomes smaller, with a snapshot that goes on using what it gives up. */

import type { Actor, LabDisk, Scenario, SimFaultRule } from "@coblock/testing";
import { CLUSTER, DISK_FILE, QCOW2_DRIVERS, qcow2Disk, TABLE_SPAN } from "./qcow2-images.ts";
import { expectSnapshotKept } from "./qcow2-snapshot.ts";

const SHRUNKEN = 20 * CLUSTER + 512;

/** All that is cut off reads as zeros before, too: while the disk shrinks nobody can tell how much of it is gone. */
function shrink(name: string, about: string, fault?: SimFaultRule["effect"]): Scenario {
  return {
    name,
    about,
    drivers: QCOW2_DRIVERS,
    storage: { completions: "later" },
    async prepare(lab) {
      const disk = await qcow2Disk(lab, {
        refcountBits: 16,
        snapshot: true,
        filled: [
          { offset: 0, length: 20 * CLUSTER },
          { offset: 24 * CLUSTER, length: 4 * CLUSTER, how: "reserved" },
          { offset: TABLE_SPAN, length: 4 * CLUSTER, how: "reserved" },
          { offset: 2 * TABLE_SPAN, length: 4 * CLUSTER, how: "reserved" },
        ],
      });
      const before = lab.storage.contentOf(DISK_FILE);
      if (fault !== undefined)
        lab.storage.fault({ effect: fault, match: ({ kind }) => kind === "write" || kind === "flush", when: "choose" });
      const judge = async (): Promise<void> => expectSnapshotKept(before, lab.storage.contentOf(DISK_FILE));
      return {
        actors: {
          A: async (actor) => {
            await actor.write(disk, CLUSTER, CLUSTER);
            await actor.write(disk, 2 * TABLE_SPAN, new Uint8Array(8 * CLUSTER));
            await cut(actor, disk);
            if (disk.node.size > SHRUNKEN) return;
            await actor.write(disk, 2 * CLUSTER, 4 * CLUSTER);
            await actor.flush(disk);
          },
        },
        judge,
      };
    },
  };
}

function cut(actor: Actor, disk: LabDisk): Promise<boolean> {
  return actor.does("shrink", async () => {
    await disk.node.resize(SHRUNKEN, { shrink: true });
    disk.model.resize(SHRUNKEN);
  });
}

export const qcow2Shrink: Scenario = shrink("qcow2-shrink", "the disk shrinks to a third of its first L2 table");
export const qcow2ShrinkEio: Scenario = shrink("qcow2-shrink-eio", "the disk shrinks, and one write or flush fails", "EIO");
