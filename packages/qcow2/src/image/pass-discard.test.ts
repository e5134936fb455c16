/** Which freed space the host gets back: what QEMU's pass-discard options say. */

import { readFileSync } from "node:fs";
import { BlockGraph, type BlockNode, rawDriver } from "@coblock/core";
import { afterAll, describe, expect, test } from "vitest";
import { qcow2Driver, type Qcow2Options } from "../index.ts";
import { qemuCreate, qemuImg, TemporaryDirectory } from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";

const CLUSTER = 65_536;
const folder = new TemporaryDirectory();
afterAll(() => folder[Symbol.dispose]());

interface Opened {
  readonly disk: BlockNode;
  /** Clusters that the host was given back during `change`, with the flush that settles them. */
  readonly discarded: (change: () => Promise<unknown>) => Promise<number>;
}

async function open(options: Partial<Qcow2Options>, discard?: "ignore" | "unmap"): Promise<Opened> {
  const path = qemuCreate(folder.file("new"), "4M");
  qemuImg("bitmap", "--add", path, "changes");
  const file = new RecordedFile(readFileSync(path));
  const graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
  const disk = await graph.open({ driver: "qcow2", file: { driver: "memory" }, ...options, ...(discard === undefined ? {} : { discard }) });
  await disk.write(0, Buffer.alloc(8 * CLUSTER, 1));
  await disk.flush();
  return {
    disk,
    discarded: async (change) => {
      const before = file.log.length;
      await change();
      await disk.flush();
      await disk.flush();
      const marks = file.log.slice(before).filter((entry) => entry.kind === "write" && entry.bytes.every((byte) => byte === 0xdd));
      return marks.reduce((sum, entry) => sum + (entry.kind === "write" ? entry.bytes.length : 0), 0) / CLUSTER;
    },
  };
}

/** A compressed cluster that is overwritten moves. */
async function replace(disk: BlockNode): Promise<void> {
  await disk.writeCompressed(32 * CLUSTER, Buffer.alloc(CLUSTER, 3));
  await disk.flush();
  await disk.write(32 * CLUSTER, Buffer.alloc(CLUSTER, 4));
}

describe.each<
  [options: Partial<Qcow2Options>, discard: "ignore" | "unmap" | undefined, request: boolean, snapshot: boolean, other: boolean]
>([
  [{}, undefined, true, true, false],
  [{}, "unmap", true, true, false],
  [{}, "ignore", false, true, false],
  [{ passDiscardRequest: false }, "unmap", false, true, false],
  [{ passDiscardSnapshot: false }, "unmap", true, false, false],
  [{ passDiscardOther: true }, "unmap", true, true, true],
  // Discards and zeros that may unmap do not get past the node.
  [{ passDiscardRequest: true }, "ignore", false, true, false],
])("%j, discard %s", (options, discard, request, snapshot, other) => {
  test(`zeros of the guest: ${request}`, async () => {
    const { disk, discarded } = await open(options, discard);
    expect(await discarded(() => disk.writeZeroes(0, 2 * CLUSTER, { mayUnmap: true }))).toBe(request ? 2 : 0);
  });

  test(`a snapshot that goes: ${snapshot}`, async () => {
    const { disk, discarded } = await open(options, discard);
    await disk.snapshots.create("one");
    await disk.write(0, Buffer.alloc(CLUSTER, 2));
    // Its L1 table, its L2 table, a cluster of data and the list of snapshots.
    expect(await discarded(() => disk.snapshots.delete("one"))).toBe(snapshot ? 4 : 0);
  });

  test(`what moved: ${other}`, async () => {
    const { disk, discarded } = await open(options, discard);
    expect(await discarded(() => replace(disk))).toBe(other ? 1 : 0);
  });

  test(`a bitmap that goes: ${other}`, async () => {
    const { disk, discarded } = await open(options, discard);
    // Its table and its directory.
    expect(await discarded(() => disk.bitmaps.remove("changes"))).toBe(other ? 2 : 0);
  });
});

test("can be changed while the image is open, and takes true and false alone", async () => {
  const { disk, discarded } = await open({});
  await disk.reopen({ passDiscardRequest: false });
  expect(await discarded(() => disk.discard(0, CLUSTER))).toBe(0);
  await disk.reopen({ passDiscardRequest: undefined });
  expect(await discarded(() => disk.discard(CLUSTER, CLUSTER))).toBe(1);
  await expect(disk.reopen({ passDiscardOther: 1 as never })).rejects.toThrow("passDiscardOther is true or false, not 1");
});
