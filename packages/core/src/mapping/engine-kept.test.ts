/** Space that its guest cluster keeps while the host gets what is in it. */

import { describe, expect, test } from "vitest";
import type { Allocation } from "../driver.ts";
import { BlockError } from "../errors.ts";
import { filled, type Lab, openLab, readAll, settled, watch } from "../fixture/lab.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

const HOST = 40;

/** Cluster 0 was in host cluster 40, reads as zeros now, and gets that place again when it is written. */
async function openEmptied(prompt: boolean): Promise<Lab> {
  const lab = await openLab({ prompt });
  const { format, disk } = lab;
  format.map(0, { kind: "zero" });
  disk.bytes.fill(0x10, HOST * CLUSTER, (HOST + 1) * CLUSTER);
  const again = <Found extends Allocation>(found: Found): Found =>
    found.offset < CLUSTER ? { ...found, childOffset: HOST * CLUSTER + found.offset } : found;
  const allocate = format.allocate.bind(format);
  format.allocate = async (state, request) => again(await allocate(state, request));
  const allocateNow = format.allocateNow?.bind(format);
  if (allocateNow !== undefined)
    format.allocateNow = (state, request) => {
      const found = allocateNow(state, request);
      return found === undefined ? undefined : again(found);
    };
  format.context.empty({ child: format.file, childOffset: HOST * CLUSTER, length: CLUSTER });
  return lab;
}

function discards({ disk }: Lab): string[] {
  return disk.log.filter((name) => name.startsWith("discard") && !name.endsWith("ended"));
}

describe.each([false, true])("space that its cluster keeps, with allocations in one turn: %s", (prompt) => {
  test("the host gets it when a flush has succeeded, and the format hears nothing", async () => {
    const lab = await openEmptied(prompt);
    await lab.node.write(CLUSTER, filled(1, 1));
    expect(discards(lab)).toEqual([]);
    await lab.node.flush();
    expect(discards(lab)).toEqual([`discard ${HOST * CLUSTER}+${CLUSTER}`]);
    expect(lab.format.log.filter((line) => line.startsWith("release"))).toEqual([]);
  });

  test("not what was written again before", async () => {
    const lab = await openEmptied(prompt);
    await lab.node.write(0, filled(CLUSTER, 1));
    await lab.node.flush();
    expect(discards(lab)).toEqual([]);
  });

  test("a write waits for a discard of its place that is on its way", async () => {
    const lab = await openEmptied(prompt);
    await lab.node.write(CLUSTER, filled(1, 1));
    lab.disk.holds = (name) => name.startsWith("discard");
    const flush = watch(lab.node.flush());
    await settled();
    const write = watch(lab.node.write(0, filled(CLUSTER, 7)));
    await lab.node.write(2 * CLUSTER, filled(1, 1));
    await settled();
    expect([flush.state, write.state]).toEqual(["pending", "pending"]);
    lab.disk.holds = () => false;
    lab.disk.release();
    await settled();
    expect([flush.state, write.state]).toEqual(["fulfilled", "fulfilled"]);
    expect(await readAll(lab.node, 0, CLUSTER)).toEqual(filled(CLUSTER, 7));
  });

  test("a host that refuses keeps the bytes, and the next writer its place", async () => {
    const lab = await openEmptied(prompt);
    lab.disk.fails = (name) => (name.startsWith("discard") ? new BlockError("IO", "no discards here") : undefined);
    await lab.node.write(CLUSTER, filled(1, 1));
    await lab.node.flush();
    await lab.node.write(0, filled(CLUSTER, 7));
    expect(await readAll(lab.node, 0, CLUSTER)).toEqual(filled(CLUSTER, 7));
  });
});
