/** Discards after which clusters keep their place: QEMU's discard-no-unref. */

import { readFileSync, writeFileSync } from "node:fs";
import { BlockGraph, type BlockNode, fileDriver, rawDriver } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { qcow2Driver, type Qcow2Options } from "../index.ts";
import {
  contentOf,
  expectClean,
  hostGraph,
  patch,
  places,
  qemuContent,
  qemuCreate,
  qemuImg,
  Seeded,
  TemporaryDirectory,
} from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";

const CLUSTER = 65_536;

/** L2 entries from the first on. */
function entriesOf(bytes: Buffer, count: number, entryWords = 1): bigint[] {
  const { l2 } = places(bytes);
  return Array.from({ length: count }, (_, index) => bytes.readBigUInt64BE(l2 + index * 8 * entryWords));
}

const ZERO = 1n;

interface Opened {
  readonly file: RecordedFile;
  readonly disk: BlockNode;
  /** Closes it, has QEMU check and read it, and answers its bytes. */
  readonly close: () => Promise<Buffer>;
}

async function open(options: Partial<Qcow2Options> = {}, create = "", size = "4M"): Promise<Opened> {
  const folder = new TemporaryDirectory();
  const file = new RecordedFile(readFileSync(qemuCreate(folder.file("new"), size, create)));
  const graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
  const disk = await graph.open({ driver: "qcow2", file: { driver: "memory" }, discardNoUnref: true, ...options });
  const close = async (): Promise<Buffer> => {
    using _folder = folder;
    const expected = await contentOf(disk);
    await disk[Symbol.asyncDispose]();
    const copy = folder.file("copy");
    writeFileSync(copy, file.bytes);
    expectClean(copy);
    expect(qemuContent(copy).equals(expected)).toBe(true);
    return file.bytes;
  };
  return { file, disk, close };
}

/** Clusters that the host was given during `change` and a flush. */
async function discarded({ file, disk }: Pick<Opened, "file" | "disk">, change: () => Promise<unknown>): Promise<number> {
  await disk.flush();
  file.log.length = 0;
  await change();
  await disk.flush();
  const bytes = file.log.reduce(
    (sum, entry) => sum + (entry.kind === "write" && entry.bytes.every((byte) => byte === 0xdd) ? entry.bytes.length : 0),
    0,
  );
  return bytes / CLUSTER;
}

describe("discardNoUnref", () => {
  it.each([
    ["a discard", (disk: BlockNode) => disk.discard(CLUSTER, 2 * CLUSTER)],
    ["zeros with leave to unmap", (disk: BlockNode) => disk.writeZeroes(CLUSTER, 2 * CLUSTER, { mayUnmap: true })],
  ])("after %s clusters read as zeros, keep place and refcount, and the host gets the bytes once", async (_what, give) => {
    const opened = await open();
    const { disk, file } = opened;
    await disk.write(0, Buffer.alloc(4 * CLUSTER, 1));
    await disk.flush();
    const before = entriesOf(file.bytes, 4);
    expect(await discarded(opened, () => give(disk))).toBe(2);
    expect(await discarded(opened, () => give(disk)), "once").toBe(0);
    expect(entriesOf(file.bytes, 4)).toEqual(before.map((entry, index) => (index === 1 || index === 2 ? entry + ZERO : entry)));
    expect((await contentOf(disk)).subarray(CLUSTER, 3 * CLUSTER).every((byte) => byte === 0)).toBe(true);
    await disk.write(CLUSTER + 10, Buffer.alloc(10, 2));
    await disk.flush();
    expect(entriesOf(file.bytes, 2)).toEqual(before.slice(0, 2));
    await opened.close();
  });

  it("the host gets nothing before a flush, nothing that is written again before it, and nothing where it is not passed on", async () => {
    const opened = await open();
    const { disk, file } = opened;
    await disk.write(0, Buffer.alloc(4 * CLUSTER, 1));
    const lost = await discarded(opened, async () => {
      await disk.discard(0, 4 * CLUSTER);
      expect(file.log).toEqual([]);
      await disk.write(CLUSTER, Buffer.alloc(CLUSTER, 3));
    });
    expect(lost).toBe(3);
    await disk.reopen({ passDiscardRequest: false });
    expect(await discarded(opened, () => disk.discard(CLUSTER, CLUSTER))).toBe(0);
    await opened.close();
  });

  it("a disk that is discarded and written over and over keeps the length of its file and the place of every cluster", async () => {
    const random = new Seeded(5);
    const opened = await open();
    const { disk, file } = opened;
    await disk.write(0, random.bytes(64 * CLUSTER));
    await disk.flush();
    const [entries, { length }] = [entriesOf(file.bytes, 64), file.bytes];
    for (let round = 0; round < 200; round++) {
      const [first, count] = [random.below(60), 1 + random.below(4)];
      if (random.once(3)) await disk.discard(first * CLUSTER, count * CLUSTER);
      else await disk.write(first * CLUSTER, random.bytes(count * CLUSTER));
      if (random.once(8)) await disk.flush();
    }
    const bytes = await opened.close();
    expect(bytes.length).toBe(length);
    expect(entriesOf(bytes, 64).map((entry) => entry - (entry % 2n))).toEqual(entries);
  });

  it("compressed clusters have no place and are given up", async () => {
    const opened = await open();
    const { disk } = opened;
    await disk.writeCompressed(0, Buffer.alloc(2 * CLUSTER, 1));
    await disk.discard(0, CLUSTER);
    const bytes = await opened.close();
    expect(entriesOf(bytes, 1)).toEqual([ZERO]);
  });

  it("what a snapshot shares stays its own, and the host gets nothing of it", async () => {
    const opened = await open();
    const { disk } = opened;
    const content = Buffer.alloc(2 * CLUSTER, 1);
    await disk.write(0, content);
    await disk.snapshots.create("one");
    expect(await discarded(opened, () => disk.discard(0, 2 * CLUSTER))).toBe(0);
    await disk.write(0, Buffer.alloc(10, 2));
    await disk.snapshots.apply("one");
    expect((await contentOf(disk)).subarray(0, 2 * CLUSTER).equals(content)).toBe(true);
    await disk.discard(0, CLUSTER);
    await disk.snapshots.delete("one");
    expect(await discarded(opened, () => disk.discard(CLUSTER, CLUSTER))).toBe(1);
    await opened.close();
  });

  it("with extended L2 entries all subclusters are zeros, and those that are written again alone are data", async () => {
    const opened = await open({}, "extended_l2=on");
    const { disk, file } = opened;
    await disk.write(0, Buffer.alloc(2 * CLUSTER, 1));
    await disk.flush();
    const before = entriesOf(file.bytes, 2, 2);
    expect(await discarded(opened, () => disk.discard(0, 2 * CLUSTER))).toBe(2);
    expect(await discarded(opened, () => disk.write(5000, Buffer.alloc(10, 2)))).toBe(0);
    const bytes = await opened.close();
    expect(entriesOf(bytes, 2, 2)).toEqual(before);
    expect(bytes.readBigUInt64BE(places(bytes).l2 + 8)).toBe(0xffff_fffb_0000_0004n);
  });

  it("is no more once it is off, and again when it is on", async () => {
    const opened = await open({ discardNoUnref: undefined });
    const { disk, file } = opened;
    await disk.write(0, Buffer.alloc(4 * CLUSTER, 1));
    await disk.discard(0, CLUSTER);
    await disk.reopen({ discardNoUnref: true });
    await disk.discard(CLUSTER, CLUSTER);
    await disk.reopen({ discardNoUnref: undefined });
    await disk.discard(2 * CLUSTER, CLUSTER);
    await disk.flush();
    expect(entriesOf(file.bytes, 3).map((entry) => entry === ZERO)).toEqual([true, false, true]);
    await expect(disk.reopen({ discardNoUnref: 1 as never })).rejects.toThrow("discardNoUnref is true or false, not 1");
    await opened.close();
  });

  it("is refused by version 2, which cannot say that a cluster reads as zeros; an image that becomes one goes on without", async () => {
    await expect(open({}, "compat=0.10")).rejects.toThrow("discardNoUnref is only supported since qcow2 version 3");
    const opened = await open();
    await opened.disk.write(0, Buffer.alloc(2 * CLUSTER, 1));
    await opened.disk.discard(0, CLUSTER);
    await opened.disk.amend({ compat: "0.10" });
    await opened.disk.discard(CLUSTER, CLUSTER);
    const [first, second] = entriesOf(await opened.close(), 2);
    expect([first === 0n, second], "the first one holds zeros").toEqual([false, 0n]);
  });

  it("does not give the host what a damaged entry leads to: the image fails, and is marked as corrupt", async () => {
    using folder = new TemporaryDirectory();
    const path = qemuCreate(folder.file("image"), "4M");
    qemuImg("bench", "-q", "-w", "-c", "4", "-s", "64k", "-f", "qcow2", path);
    patch(path, (bytes) => void bytes.writeBigUInt64BE(2n ** 63n + BigInt(places(bytes).l1), places(bytes).l2));
    const graph = hostGraph();
    const disk = await graph.open({ driver: "qcow2", file: path, discardNoUnref: true });
    await expect(disk.discard(0, CLUSTER)).rejects.toThrow(/over the active L1 table/);
    await expect(graph[Symbol.asyncDispose]()).rejects.toThrow(/over the active L1 table/);
    expect(qemuImg("info", "-U", path)).toContain("corrupt: true");
  });
});

describe.each([true, false])("a data file, discardNoUnref %s", (discardNoUnref) => {
  it("gives the host what is discarded, and every cluster has its place", async () => {
    using folder = new TemporaryDirectory();
    const [path, there] = [folder.file("image"), folder.file("there")];
    qemuCreate(path, 4 * CLUSTER, `data_file=${there}`);
    const file = new RecordedFile(Buffer.alloc(4 * CLUSTER));
    const graph = new BlockGraph({ drivers: [fileDriver, file.driver, rawDriver, qcow2Driver] });
    const disk = await graph.open({ driver: "qcow2", file: path, dataFile: { driver: "memory" }, discardNoUnref });
    const opened = { file, disk };
    await disk.write(0, Buffer.alloc(4 * CLUSTER, 1));
    expect(await discarded(opened, () => disk.discard(CLUSTER, 2 * CLUSTER))).toBe(2);
    expect(await discarded(opened, () => disk.write(2 * CLUSTER + 10, Buffer.alloc(10, 2)))).toBe(0);
    const expected = await contentOf(disk);
    expect(expected.equals(Buffer.concat([0, 1, 2, 3].map((index) => partOf(index))))).toBe(true);
    await graph[Symbol.asyncDispose]();
    writeFileSync(there, file.bytes);
    expectClean(path);
    expect(qemuContent(path).equals(expected)).toBe(true);
  });
});

function partOf(index: number): Buffer {
  if (index === 0 || index === 3) return Buffer.alloc(CLUSTER, 1);
  return index === 1 ? Buffer.alloc(CLUSTER) : Buffer.alloc(CLUSTER).fill(2, 10, 20);
}
