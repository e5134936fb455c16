/** Images that QEMU made, read by this package. */

import { readFileSync, truncateSync, writeFileSync } from "node:fs";

import { BlockError } from "@coblock/core";
import { describe, expect, test } from "vitest";

import { hostGraph, qemuImg, qemuIo, readAll, TemporaryDirectory } from "./test/images.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes of the header field that is 8 long, at `offset`. */
function headerWord(file: string, offset: number): bigint {
  return readFileSync(file).readBigUInt64LE(offset);
}

function setHeaderWord(file: string, offset: number, value: bigint): void {
  const bytes = readFileSync(file);
  bytes.writeBigUInt64LE(value, offset);
  writeFileSync(file, bytes);
}

describe("reads what qemu-io wrote", () => {
  const shapes = [4 * KIB, 8 * KIB, 64 * KIB, 256 * KIB, MIB, 16 * MIB, 64 * MIB].flatMap((clusterSize) =>
    [2, 4, 16].map((tableSize) => ({ clusterSize, tableSize })),
  );

  test.each(shapes)("clusters of $clusterSize, tables of $tableSize", async ({ clusterSize, tableSize }) => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    const size = clusterSize <= 64 * KIB ? 40 * MIB + 512 : 200 * MIB + 512;
    const entries = (clusterSize * tableSize) / 8;
    // QEMU's own arithmetic overflows for the largest tables: it cannot make such an image.
    if (BigInt(entries) * BigInt(entries) * BigInt(clusterSize) >= 2n ** 64n) {
      expect(() =>
        qemuImg("create", "-q", "-f", "qed", "-o", `cluster_size=${clusterSize},table_size=${tableSize}`, file, String(size)),
      ).toThrow("less than");
      return;
    }
    qemuImg("create", "-q", "-f", "qed", "-o", `cluster_size=${clusterSize},table_size=${tableSize}`, file, String(size));
    qemuIo(
      file,
      "write -P 1 0 512",
      "write -P 2 9M 3M",
      "write -P 3 17M 5000",
      `write -z ${Math.ceil((20 * MIB) / clusterSize) * clusterSize} ${clusterSize}`,
      `write -P 4 ${size - 512} 512`,
    );
    qemuImg("convert", "-f", "qed", "-O", "raw", file, directory.file("image.raw"));
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    expect(disk.size).toBe(size);
    const raw = readFileSync(directory.file("image.raw"));
    expect(raw.equals(await readAll(disk))).toBe(true);
    expect((await disk.info()).clusterSize).toBe(clusterSize);
    const result = await disk.check({ repair: "none" });
    expect(result).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
  });
});

test("is probed by its magic number", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image");
  qemuImg("create", "-q", "-f", "qed", file, "1M");
  await using graph = hostGraph();
  await using disk = await graph.open(file);
  expect(disk.driver).toBe("qed");
});

test("runs are those that qemu-img map tells", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  qemuImg("create", "-q", "-f", "qed", "-o", "cluster_size=4k,table_size=2", file, "64M");
  // One L2 table maps 4 MiB here.
  qemuIo(file, "write 0 64k", "write 4000k 200k", "write 72k 4k", "write 68k 4k", "write -z 128k 40k", "write -z 4M 8k", "write 63M 1M");
  const expected = (
    JSON.parse(qemuImg("map", "-f", "qed", "--output=json", file)) as {
      start: number;
      length: number;
      zero: boolean;
      data: boolean;
      present: boolean;
      offset?: number;
    }[]
  ).map((run) => ({
    offset: run.start,
    length: run.length,
    kind: run.data ? "data" : run.present ? "zero" : "unallocated",
    at: run.offset,
  }));
  await using graph = hostGraph();
  await using disk = await graph.open(file, { readOnly: true });
  const found: { offset: number; length: number; kind: string; at: number | undefined }[] = [];
  for await (const extent of disk.extents()) {
    found.push({ offset: extent.offset, length: extent.length, kind: extent.kind, at: extent.location?.offset });
  }
  expect(found).toEqual(expected);
});

describe("backing files", () => {
  test.each([
    ["shorter than the image", 1 * MIB, 3 * MIB],
    ["longer than the image", 3 * MIB, 1 * MIB],
  ])("%s, with zero clusters that hide them", async (_what, backingSize, size) => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    writeFileSync(directory.file("base.raw"), new Uint8Array(backingSize).fill(7));
    qemuImg("create", "-q", "-f", "qed", "-b", "base.raw", "-F", "raw", file, String(size));
    qemuIo(file, "write -P 1 100k 10k", "write -z 256k 128k", "write -P 2 960k 64k");
    qemuImg("convert", "-f", "qed", "-O", "raw", file, directory.file("image.raw"));
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    expect(readFileSync(directory.file("image.raw")).equals(await readAll(disk))).toBe(true);
    expect((await disk.info()).backing).toEqual({ filename: "base.raw", format: "raw" });
    await using alone = await graph.open({
      driver: "qed",
      file: { driver: "file", filename: file },
      backing: null,
      readOnly: true,
      forceShare: true,
    });
    const bytes = new Uint8Array(4);
    await alone.read(0, bytes);
    expect([...bytes]).toEqual([0, 0, 0, 0]);
  });

  test("without NO_PROBE the format is probed, and the caller may say otherwise", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImg("create", "-q", "-f", "qed", directory.file("base.qed"), "1M");
    qemuIo(directory.file("base.qed"), "write -P 9 0 1M");
    qemuImg("create", "-q", "-f", "qed", "-b", "base.qed", "-F", "qed", file, "1M");
    await using graph = hostGraph();
    const bytes = new Uint8Array(4);
    {
      await using disk = await graph.open(file, { readOnly: true });
      expect((await disk.info()).backing).toEqual({ filename: "base.qed" });
      await disk.read(1000, bytes);
      expect([...bytes]).toEqual([9, 9, 9, 9]);
    }
    await using disk = await graph.open(
      { driver: "qed", file, backing: { driver: "raw", file: directory.file("base.qed") } },
      { readOnly: true },
    );
    await disk.read(0, bytes);
    expect([...bytes]).toEqual([0x51, 0x45, 0x44, 0]);
  });

  test("a name with a zero byte is refused, and one that is not UTF-8 is not found", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImg("create", "-q", "-f", "qed", "-u", "-b", "base.raw", "-F", "raw", file, "1M");
    const bytes = readFileSync(file);
    await using graph = hostGraph();
    bytes[66] = 0;
    writeFileSync(file, bytes);
    await expect(graph.open(file, { backing: null })).rejects.toThrow("zero byte");
    bytes[66] = 0xff;
    writeFileSync(file, bytes);
    await expect(graph.open(file)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await using disk = await graph.open(file, { backing: null });
    expect((await disk.info()).backing?.filename).toBe("ba\ufffde.raw");
  });
});

test("a file that ends within the L1 table, or anywhere before, is refused", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  qemuImg("create", "-q", "-f", "qed", file, "1M");
  await using graph = hostGraph();
  for (const length of [5 * 65536 - 1, 65536, 64, 63, 5]) {
    truncateSync(file, length);
    const opening = graph.open({ driver: "qed", file });
    await expect(opening).rejects.toBeInstanceOf(BlockError);
    await expect(opening).rejects.toMatchObject({ code: "CORRUPT_IMAGE" });
  }
});

test("tables of one cluster, which QEMU makes and cannot open, can be read", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  qemuImg("create", "-q", "-f", "qed", "-o", "cluster_size=4k,table_size=1", file, "1M");
  expect(() => qemuImg("info", "-f", "qed", file)).toThrow("table offset is invalid");
  await using graph = hostGraph();
  await using disk = await graph.open(file);
  await disk.write(5000, new Uint8Array(10_000).fill(3));
  const bytes = new Uint8Array(3);
  await disk.read(4999, bytes);
  expect([...bytes]).toEqual([0, 3, 3]);
  expect(await disk.check({ repair: "none" })).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
});

test("unknown autoclear bits go at a writable open, everything else in the header's sector stays", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  qemuImg("create", "-q", "-f", "qed", file, "1M");
  const bytes = readFileSync(file);
  bytes.writeBigUInt64LE(0x8000_0000_0000_0003n, 24);
  bytes.writeBigUInt64LE(0xff00_0000_0000_0001n, 32);
  bytes.fill(0xab, 64, 4096);
  writeFileSync(file, bytes);
  await using graph = hostGraph();
  await (await graph.open(file, { readOnly: true }))[Symbol.asyncDispose]();
  expect(readFileSync(file).equals(bytes)).toBe(true);
  {
    await using disk = await graph.open(file);
    await disk.write(0, new Uint8Array(512).fill(1));
  }
  bytes.writeBigUInt64LE(0n, 32);
  expect(readFileSync(file).subarray(0, 65536).equals(bytes.subarray(0, 65536))).toBe(true);
});

test("an unknown feature bit is refused, readable or writable", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  qemuImg("create", "-q", "-f", "qed", file, "1M");
  setHeaderWord(file, 16, 0x10n);
  await using graph = hostGraph();
  await expect(graph.open(file, { readOnly: true })).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" });
  await expect(graph.open(file)).rejects.toThrow("unknown feature bits 0x10");
  expect(headerWord(file, 16)).toBe(0x10n);
});

test("l2CacheSize is a number of bytes", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  qemuImg("create", "-q", "-f", "qed", file, "1M");
  await using graph = hostGraph();
  for (const l2CacheSize of [-1, 0.5, Number.NaN]) {
    await expect(graph.open({ driver: "qed", file, l2CacheSize })).rejects.toMatchObject({ code: "INVALID_OPTION" });
  }
  await using _disk = await graph.open({ driver: "qed", file, l2CacheSize: 0 });
});
