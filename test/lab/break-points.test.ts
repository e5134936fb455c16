/** Requests of real drivers that are stopped at a named point, as with QEMU's blkdebug. */

import { type BlockEvent, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";
import { expectNoFailure, explore, type Lab, type LabDisk, replay, type Scenario } from "@coblock/testing";
import { describe, expect, test } from "vitest";
import { CLUSTER, qedDisk, TABLE_SPAN } from "./scenarios/qed-images.ts";

/** What was seen while the request stood still. */
interface Seen {
  readonly suspended: readonly string[];
  /** What it was to do was done already. */
  readonly ended: boolean;
}

type Open = (lab: Lab) => Promise<LabDisk>;

async function qcow2Disk(lab: Lab): Promise<LabDisk> {
  await lab.image({ driver: "qcow2", filename: "sim:disk", size: 4 * TABLE_SPAN, values: { cluster_size: CLUSTER } }, async (graph) => {
    const disk = await graph.open({ driver: "qcow2", file: "sim:disk" });
    await disk.write(0, lab.pattern(CLUSTER));
    await disk[Symbol.asyncDispose]();
  });
  return lab.open("disk", { driver: "qcow2", file: "sim:disk" });
}

/** The first that reaches `event` is stopped there; while it is, a read of old data goes on. */
function suspended(how: { readonly name: string; readonly event: BlockEvent; readonly open: Open; readonly seen: Seen[] }): Scenario {
  const { name, event, open, seen } = how;
  return {
    name,
    about: `an allocating write and a flush of which one stands still at ${event}, and a read beside it`,
    drivers: [qedDriver, qcow2Driver, rawDriver],
    storage: { completions: "later" },
    prepare: async (lab) => {
      const disk = await open(lab);
      await lab.file("sim:other", async () => lab.pattern(CLUSTER));
      const other = await lab.open("other", { driver: "raw", file: "sim:other" });
      const { breakPoints } = lab.storage;
      breakPoints.set(event, "A");
      let ended = false;
      return {
        actors: {
          A: async (actor) => {
            await actor.write(disk, CLUSTER, 512);
            await actor.flush(disk);
            ended = true;
          },
          B: async (actor) => {
            await breakPoints.reached("A");
            // Tables are written behind the driver's lock, data is not.
            await actor.read(event === "l2_update" ? other : disk, 0, 512);
            seen.push({ suspended: breakPoints.suspended, ended });
            expect(breakPoints.resume("A")).toBe(true);
          },
        },
      };
    },
  };
}

describe("a request that is suspended by its tag", () => {
  const drivers: readonly { readonly name: string; readonly open: Open }[] = [
    { name: "qed", open: (lab) => qedDisk(lab, { filled: [0] }) },
    { name: "qcow2", open: qcow2Disk },
  ];
  for (const { name, open } of drivers) {
    for (const event of ["l2_update", "write_aio"] as const) {
      test(`${name}, at ${event}: stands still until it is resumed, whatever the order, and others go on`, async () => {
        const seen: Seen[] = [];
        const scenario = suspended({ name: `${name}-suspended`, event, open, seen });
        await expectNoFailure(scenario, { mode: "random", seeds: 20 });
        expect(seen).toEqual(Array.from({ length: 20 }, () => ({ suspended: ["A"], ended: false })));
        const journal = (await replay(scenario, [])).journal.join("\n");
        expect(journal).toMatch(
          new RegExp(`stopped at ${event} of sim:disk\\n(.|\\n)*B: read (disk|other) 0x0\\+512 is done\\n(.|\\n)*A: flush disk`),
        );
      });
    }
  }

  test("is missed, by its event, where nobody resumes it", async () => {
    const scenario: Scenario = {
      name: "never-resumed",
      about: "a request that is stopped for ever",
      drivers: [qedDriver, rawDriver],
      prepare: async (lab) => {
        const disk = await qedDisk(lab);
        lab.storage.breakPoints.set("l2_update", "A");
        return { actors: { A: (actor) => actor.write(disk, 0, 512) } };
      },
    };
    const { failure } = await explore(scenario, { mode: "random", seeds: 1 });
    expect(failure?.kind).toBe("stuck");
    expect(failure?.message).toContain("A has not ended");
    expect(failure?.message).toContain('stands still at l2_update, tagged "A"');
    expect(failure?.report).toContain("stopped at l2_update of sim:disk");
  });
});
