import { describe, expect, test } from "vitest";
import { BlockError } from "../errors.ts";
import { filled, type Lab, type LabOptions, openLab, readAll, settled } from "../fixture/lab.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

/** A format that need not wait, with the first write behind it; old bytes are everywhere. */
async function openPrompt(options: LabOptions = {}): Promise<Lab> {
  const lab = await openLab({ prompt: true, ...options });
  await lab.node.write(15 * CLUSTER, filled(CLUSTER, 9));
  lab.disk.bytes.fill(0x5e);
  lab.disk.log.length = 0;
  lab.format.log.length = 0;
  return lab;
}

function methods({ format }: Lab): string[] {
  return format.log.filter((line) => !line.startsWith("lookup") && !line.endsWith("ended"));
}

function writes({ disk }: Lab): string[] {
  return disk.log.filter((line) => line.startsWith("write") && !line.endsWith("ended"));
}

/** Whether it ended in this turn. */
function writeNow({ node }: Lab, offset: number, bytes: Uint8Array): boolean {
  const pending = node.requests.write(offset, bytes, undefined, false);
  pending?.catch(() => {});
  return pending === undefined;
}

describe("an allocating write that need not wait", () => {
  test("ends in its turn: one allocation, one write, one link", async () => {
    const lab = await openPrompt();
    expect(writeNow(lab, CLUSTER, filled(CLUSTER, 1))).toBe(true);
    expect(methods(lab)).toEqual([`allocateNow ${CLUSTER}+${CLUSTER}`, `linkNow ${CLUSTER}`]);
    expect(writes(lab)).toHaveLength(1);
    expect(await readAll(lab.node, CLUSTER, CLUSTER)).toEqual(filled(CLUSTER, 1));
  });

  test("writes zeros around a part of a cluster, but not where new space reads as zeros", async () => {
    const stale = await openPrompt();
    await stale.node.write(100, filled(10, 1));
    expect(writes(stale)).toEqual([`write ${CLUSTER}+${CLUSTER}`]);
    expect((await readAll(stale.node, 0, CLUSTER)).filter((byte) => byte !== 0)).toEqual(filled(10, 1));
    const fresh = await openPrompt({ fresh: true });
    expect(writeNow(fresh, 100, filled(10, 1))).toBe(true);
    expect(writes(fresh)).toEqual([`write ${CLUSTER + 100}+10`]);
  });

  test("keeps what a backing file shows, and nothing of one where the cluster is zero", async () => {
    const backing = new LabDisk(2 * CLUSTER);
    backing.bytes.fill(0xbb);
    const lab = await openPrompt({ backing, fresh: true });
    await lab.node.write(100, filled(10, 1));
    expect(await readAll(lab.node, 0, CLUSTER)).toEqual(filled(CLUSTER, 0xbb).fill(1, 100, 110));
    lab.format.map(1, { kind: "zero" });
    expect(writeNow(lab, CLUSTER + 100, filled(10, 1))).toBe(true);
    expect(writeNow(lab, 2 * CLUSTER + 100, filled(10, 1))).toBe(true);
    expect(writes(lab).slice(1)).toEqual([`write ${2 * CLUSTER + 100}+10`, `write ${3 * CLUSTER + 100}+10`]);
  });

  test("goes on with what one allocation did not serve", async () => {
    const lab = await openPrompt();
    // The lab's lookup answers one cluster, so the request is made of three.
    await lab.node.write(0, filled(3 * CLUSTER, 1));
    expect(await readAll(lab.node, 0, 4 * CLUSTER)).toEqual(filled(4 * CLUSTER, 0).fill(1, 0, 3 * CLUSTER));
    expect(methods(lab).filter((name) => name.startsWith("allocate "))).toEqual([]);
  });

  test("waits where the lock is held, and where the allocations are plugged", async () => {
    const lab = await openPrompt({ maxAllocations: 1 });
    lab.disk.holds = (name) => name.startsWith("write");
    expect(writeNow(lab, 0, filled(CLUSTER, 1))).toBe(false);
    expect(lab.node.inspect()).toMatchObject({ image: { allocations: { taken: 1 }, claims: { held: ["exclusive 0x0..0x1000"] } } });
    const held = await lab.format.state.lock();
    expect(writeNow(lab, CLUSTER, filled(CLUSTER, 2))).toBe(false);
    held[Symbol.dispose]();
    await settled();
    expect(methods(lab), "one allocation at a time").toEqual([`allocateNow 0+${CLUSTER}`]);
    lab.disk.holds = () => false;
    lab.disk.release();
    await settled();
    expect(await readAll(lab.node, 0, 2 * CLUSTER)).toEqual(filled(2 * CLUSTER, 1).fill(2, CLUSTER));
  });

  test("holds off a second writer of the cluster until it is linked", async () => {
    const lab = await openPrompt();
    lab.disk.holds = (name) => name.startsWith("write");
    expect(writeNow(lab, 0, filled(CLUSTER, 1))).toBe(false);
    expect(writeNow(lab, 0, filled(10, 2))).toBe(false);
    await settled();
    expect(writes(lab)).toHaveLength(1);
    lab.disk.holds = () => false;
    lab.disk.release();
    await settled();
    expect(await readAll(lab.node, 0, CLUSTER)).toEqual(filled(CLUSTER, 1).fill(2, 0, 10));
    expect(methods(lab), "the second one is in place").toEqual([`allocateNow 0+${CLUSTER}`, "linkNow 0"]);
  });

  test("retires what it replaces by the way that waits", async () => {
    const lab = await openPrompt();
    lab.format.map(0, { kind: "data", host: 40, writable: false });
    await lab.node.write(0, filled(CLUSTER, 1));
    expect(methods(lab)).toEqual([`allocateNow 0+${CLUSTER}`, "linkNow 0", "link 0"]);
    expect(lab.node.inspect()).toMatchObject({ image: { retiredBytes: CLUSTER } });
  });

  test.each(["throws at once", "rejects"])("gives its space back where the data %s", async (how) => {
    const lab = await openPrompt();
    lab.disk.synchronous = how === "throws at once";
    const failure = new BlockError("IO", "the disk fails");
    lab.disk.fails = (name) => (name.startsWith("write") ? failure : undefined);
    const freeBefore = lab.format.freeClusters;
    await expect(lab.node.write(0, filled(CLUSTER, 1))).rejects.toBe(failure);
    expect(methods(lab)).toEqual([`allocateNow 0+${CLUSTER}`, "abandon 0"]);
    expect(lab.format.freeClusters).toBe(freeBefore);
    expect(lab.node.inspect()).toMatchObject({ image: { allocations: { taken: 0 }, claims: { held: [] } } });
  });

  test("asks `allocate` where there is no room, which frees some", async () => {
    const lab = await openPrompt({ room: 2 });
    await lab.node.write(0, filled(CLUSTER, 1));
    await lab.node.discard(15 * CLUSTER, CLUSTER);
    await lab.node.write(CLUSTER, filled(CLUSTER, 2));
    expect(await readAll(lab.node, CLUSTER, CLUSTER)).toEqual(filled(CLUSTER, 2));
  });
});
