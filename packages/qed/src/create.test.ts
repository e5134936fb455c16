import { readFileSync, writeFileSync } from "node:fs";

import { BlockGraph, memoryDriver } from "@coblock/core";
import { describe, expect, test } from "vitest";

import { qedDriver } from "./index.ts";
import { hostGraph, inMemory, qemuImg, scriptedImage, TemporaryDirectory } from "./test/images.ts";

const MIB = 1024 * 1024;

describe("makes the bytes that qemu-img makes", () => {
  test.each<[what: string, options: readonly string[], size: number, values: Readonly<Record<string, number>>]>([
    ["as it comes", [], 100 * MIB, {}],
    ["a size that is rounded up", [], 1_000_001, {}],
    ["small clusters", ["-o", "cluster_size=4096,table_size=2"], MIB, { cluster_size: 4096, table_size: 2 }],
    ["large tables", ["-o", "cluster_size=1M,table_size=16"], 2 ** 43, { cluster_size: MIB, table_size: 16 }],
    ["the largest that 4 KiB clusters map", ["-o", "cluster_size=4k,table_size=2"], 2 ** 32, { cluster_size: 4096, table_size: 2 }],
  ])("%s", async (_what, options, size, values) => {
    using directory = new TemporaryDirectory();
    qemuImg("create", "-q", "-f", "qed", ...options, directory.file("theirs"), String(size));
    await using graph = hostGraph();
    await graph.create({ driver: "qed", filename: directory.file("ours"), size, values });
    expect(readFileSync(directory.file("ours")).equals(readFileSync(directory.file("theirs")))).toBe(true);
    expect(qemuImg("check", "-f", "qed", directory.file("ours"))).toContain("No errors");
  });

  test.each(["raw", "qed"])("a backing file of format %s", async (format) => {
    using directory = new TemporaryDirectory();
    qemuImg("create", "-q", "-f", format, directory.file("base"), "1M");
    qemuImg("create", "-q", "-f", "qed", "-b", "base", "-F", format, directory.file("theirs"));
    await using graph = hostGraph();
    await graph.create({ driver: "qed", filename: directory.file("ours"), size: MIB, backing: { filename: "base", format } });
    expect(readFileSync(directory.file("ours")).equals(readFileSync(directory.file("theirs")))).toBe(true);
  });
});

test("has qemu-img's words for space in advance, of which there is none", async () => {
  using directory = new TemporaryDirectory();
  await using graph = hostGraph();
  const filename = directory.file("image");
  const made = (preallocation: string) => graph.create({ driver: "qed", filename, size: MIB, values: { preallocation } });
  await expect(made("metadata")).rejects.toThrow("Unsupported preallocation mode: metadata");
  await made("full");
  expect(qemuImg("check", "-f", "qed", filename)).toContain("No errors");
});

test("an older file of the name is emptied first", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image");
  writeFileSync(file, new Uint8Array(10 * 65536).fill(0xff));
  await using graph = hostGraph();
  await graph.create({ driver: "qed", filename: file, size: MIB });
  expect(readFileSync(file).length).toBe(5 * 65536);
  expect(qemuImg("check", "-f", "qed", file)).toContain("No errors");
});

test("the largest clusters and tables, and 8 PiB, open again", async () => {
  await using graph = new BlockGraph({ drivers: [memoryDriver, qedDriver] });
  const file = await graph.open({ driver: "memory" });
  const size = 2 ** 53 - 512;
  await graph.create({ driver: "qed", filename: "image", file, size, values: { cluster_size: 2 ** 26, table_size: 16 } });
  await using disk = await graph.open({ driver: "qed", file });
  expect(disk.size).toBe(size);
  expect(file.size).toBe(17 * 2 ** 26);
});

describe("refuses", () => {
  test.each<[what: string, size: number, values: Readonly<Record<string, number>>, words: string]>([
    ["tables of one cluster", MIB, { table_size: 1 }, "must be at least 2"],
    ["tables of 3 clusters", MIB, { table_size: 3 }, "not 3"],
    ["tables of 0 clusters", MIB, { table_size: 0 }, "not 0"],
    ["tables of 32 clusters", MIB, { table_size: 32 }, "not 32"],
    ["clusters of 2 KiB", MIB, { cluster_size: 2048 }, "not 2048"],
    ["clusters of 128 MiB", MIB, { cluster_size: 2 ** 27 }, "not 134217728"],
    ["clusters of 5000", MIB, { cluster_size: 5000 }, "not 5000"],
    ["a size that the tables cannot map", 2 ** 32 + 512, { cluster_size: 4096, table_size: 2 }, "at most 4294967296"],
    [
      "a size that is too large once it is rounded up",
      Number.MAX_SAFE_INTEGER,
      { cluster_size: 2 ** 26, table_size: 16 },
      "at most 9007199254740991",
    ],
  ])("%s, and makes no file", async (_what, size, values, words) => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image");
    await using graph = hostGraph();
    const creating = graph.create({ driver: "qed", filename: file, size, values });
    await expect(creating).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(creating).rejects.toThrow(words);
    expect(() => readFileSync(file)).toThrow("ENOENT");
  });

  test("a backing file name that QEMU would not read, and one with a zero byte", async () => {
    await using graph = hostGraph();
    const create = (filename: string): Promise<void> =>
      graph.create({ driver: "qed", filename: "/nowhere/image", size: MIB, backing: { filename } });
    await expect(create("ä".repeat(512))).rejects.toThrow("1024 bytes, more than 1023");
    await expect(create("a\0b")).rejects.toThrow("zero byte");
  });
});

test("the longest backing file name comes back", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image");
  const filename = `${"ä".repeat(511)}z`;
  await using graph = hostGraph();
  await graph.create({ driver: "qed", filename: file, size: MIB, values: { cluster_size: 4096 }, backing: { filename } });
  await using disk = await graph.open(file, { backing: null });
  expect((await disk.info()).backing).toEqual({ filename });
  expect(JSON.parse(qemuImg("info", "-f", "qed", "--output=json", "-U", file))).toMatchObject({ "backing-filename": filename });
});

test("the header is written once, and flushed", async () => {
  const { file, graph } = await scriptedImage({ size: MIB });
  file.log.length = 0;
  await graph.create({ driver: "qed", filename: "memory:image", size: MIB });
  expect(file.log.map(({ kind, offset, length }) => [kind, offset, length])).toEqual([
    ["write", 0, 512],
    ["flush", 0, 0],
  ]);
  await using disk = await graph.open(inMemory);
  expect(disk.size).toBe(MIB);
  await disk[Symbol.asyncDispose]();
  await graph[Symbol.asyncDispose]();
});
