/** Disks that become smaller: the bytes before the new end stay, those behind it never come back, and the file gets shorter. */

import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, it, test } from "vitest";
import { contentOf, expectClean, hostGraph, qemuContent, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "../test/images.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const folder = new TemporaryDirectory();
afterAll(() => folder[Symbol.dispose]());

/** Data, zeros, holes and compressed clusters all over the disk. */
function filled(name: string, options: string, size = 6 * MIB): string {
  const file = qemuCreate(folder.file(name), size, options);
  const seeded = new Seeded(size);
  const commands: string[] = [];
  for (let at = 0; at + 256 * KIB <= size; at += 256 * KIB) {
    const kind = seeded.below(5);
    if (kind === 0) commands.push(`write -z ${at} 128k`);
    else if (kind < 4) commands.push(`write -P ${1 + seeded.below(200)} ${at} ${100 + seeded.below(100)}k`);
    if (kind === 1 && !options.includes("data_file")) commands.push(`write -c -P 7 ${at + 192 * KIB} 64k`);
  }
  qemuIo(file, ...commands);
  return file;
}

/** What is mapped where on the guest's side. */
function mapOf(file: string): unknown {
  const runs = JSON.parse(qemuImg("map", "--output=json", file)) as readonly Record<string, unknown>[];
  return runs.map(({ start, length, data, zero }) => ({ start, length, data, zero }));
}

const SHAPES = [
  "cluster_size=64k",
  "cluster_size=4k,compat=0.10",
  "cluster_size=1k,refcount_bits=64",
  "cluster_size=512,refcount_bits=1",
  "cluster_size=64k,extended_l2=on",
  "cluster_size=16k,extended_l2=on,refcount_bits=8",
  "cluster_size=4k,lazy_refcounts=on",
];

describe.each(SHAPES)("%s", (options) => {
  const before = filled("before", options);

  it.each([5 * MIB, 2 * MIB + 512, 100 * KIB, 512])("shrinks to %i bytes as with qemu-img, and grows again", async (size) => {
    const ours = folder.file("ours");
    const theirs = folder.file("theirs");
    copyFileSync(before, ours);
    copyFileSync(before, theirs);
    const content = qemuContent(before);
    qemuImg("resize", "-q", "--shrink", "-f", "qcow2", theirs, String(size));
    await using graph = hostGraph();
    {
      await using disk = await graph.open(ours);
      await disk.resize(size, { shrink: true });
      expect(disk.size).toBe(size);
      expect((await contentOf(disk)).equals(content.subarray(0, size))).toBe(true);
      // Space that was given back is used again.
      await disk.write(0, content.subarray(0, Math.min(size, 4096)));
    }
    expectClean(ours);
    expect(qemuContent(ours).equals(content.subarray(0, size))).toBe(true);
    expect(mapOf(ours)).toEqual(mapOf(theirs));
    expect(statSync(ours).size).toBeLessThanOrEqual(statSync(theirs).size);
    {
      await using disk = await graph.open(ours);
      await disk.resize(7 * MIB);
      await disk.write(6 * MIB, Buffer.alloc(MIB, 3));
    }
    expectClean(ours);
    const grown = qemuContent(ours);
    expect(grown.subarray(0, size).equals(content.subarray(0, size))).toBe(true);
    expect(grown.subarray(size, 6 * MIB).every((byte) => byte === 0)).toBe(true);
    expect(grown.subarray(6 * MIB).every((byte) => byte === 3)).toBe(true);
  });
});

test("a snapshot keeps what the disk gives up", async () => {
  const file = filled("snapshot", "cluster_size=4k");
  const before = qemuContent(file);
  qemuImg("snapshot", "-c", "before", file);
  qemuIo(file, "write -P 99 1M 1M", "write -P 98 5M 100k");
  await using graph = hostGraph();
  {
    await using disk = await graph.open(file);
    await disk.resize(MIB + 512, { shrink: true });
  }
  expectClean(file);
  // QEMU shows as much of a snapshot as the disk has now.
  expect(qemuContent(file, "-l", "snapshot.name=before").equals(before.subarray(0, MIB + 512))).toBe(true);
  {
    await using disk = await graph.open(file);
    await disk.snapshots.apply("before");
    expect((await contentOf(disk)).equals(before)).toBe(true);
    await disk.snapshots.delete("before");
  }
  expectClean(file);
});

test.each([false, true])("a data file is cut too; raw: %s", async (raw) => {
  const file = filled(`data-${raw}`, `data_file=${folder.file("data")},data_file_raw=${raw ? "on" : "off"},cluster_size=4k`);
  const before = qemuContent(file);
  await using graph = hostGraph();
  {
    await using disk = await graph.open(file);
    await disk.resize(MIB, { shrink: true });
  }
  expect(statSync(folder.file("data")).size).toBe(MIB);
  expectClean(file);
  expect(qemuContent(file).equals(before.subarray(0, MIB))).toBe(true);
  {
    await using disk = await graph.open(file);
    await disk.resize(3 * MIB);
    expect((await contentOf(disk)).equals(Buffer.concat([before.subarray(0, MIB), Buffer.alloc(2 * MIB)]))).toBe(true);
  }
  expectClean(file);
});

test("refcount blocks that count themselves alone go, and the space that they counted is used again", async () => {
  const file = qemuCreate(folder.file("blocks"), 8 * MIB, "cluster_size=512,refcount_bits=64");
  await using graph = hostGraph();
  {
    await using disk = await graph.open(file);
    await disk.write(0, Buffer.alloc(8 * MIB, 1));
    await disk.resize(512, { shrink: true });
    // The refcount table has moved behind what there was, and stays there.
    await disk.resize(8 * MIB);
    await disk.write(MIB, Buffer.alloc(3 * MIB, 2));
    expect(
      (await contentOf(disk)).equals(
        Buffer.concat([Buffer.alloc(512, 1), Buffer.alloc(MIB - 512), Buffer.alloc(3 * MIB, 2), Buffer.alloc(4 * MIB)]),
      ),
    ).toBe(true);
  }
  expectClean(file);
  const small = qemuCreate(folder.file("small"), 2 * MIB, "cluster_size=64k");
  {
    await using disk = await graph.open(small);
    await disk.write(0, Buffer.alloc(2 * MIB, 1));
    await disk.resize(512, { shrink: true });
  }
  expectClean(small);
  // Header, refcount table, refcount block, L1 table, L2 table, data.
  expect(statSync(small).size).toBe(6 * 64 * KIB);
});

test("is refused without consent, with preallocation, and where tables cannot be counted", async () => {
  const file = filled("refused", "cluster_size=4k");
  await using graph = hostGraph();
  const before = readFileSync(file);
  {
    await using disk = await graph.open(file);
    await expect(disk.resize(MIB)).rejects.toThrow("must be asked for");
    await expect(disk.resize(MIB, { shrink: true, preallocation: "full" })).rejects.toThrow("Preallocation can't be used for shrinking");
    await expect(disk.resize(MIB + 1, { shrink: true })).rejects.toThrow("not whole sectors");
  }
  expect(readFileSync(file).equals(before)).toBe(true);
  const bytes = Buffer.from(before);
  const l1 = Number(bytes.readBigUInt64BE(40));
  bytes.writeBigUInt64BE(bytes.readBigUInt64BE(l1 + 8) + 512n, l1 + 8);
  writeFileSync(file, bytes);
  {
    await using disk = await graph.open(file);
    await expect(disk.resize(MIB, { shrink: true })).rejects.toMatchObject({ code: "CORRUPT_IMAGE" });
    expect(disk.size).toBe(6 * MIB);
  }
  expect(readFileSync(file).equals(bytes)).toBe(true);
});
