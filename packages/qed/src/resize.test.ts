import { writeFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { filled, hostGraph, inMemory, qemuCheck, qemuImg, qemuIo, readAll, scriptedImage, TemporaryDirectory } from "./test/images.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

describe("growing", () => {
  test("shows zeros behind the old end, within its cluster and in new L2 tables", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImg("create", "-q", "-f", "qed", "-o", "cluster_size=4k,table_size=2", file, String(4 * MIB + 512));
    const model = filled(20 * MIB, 0);
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await disk.write(4 * MIB - 1000, filled(1512, 1));
      model.fill(1, 4 * MIB - 1000, 4 * MIB + 512);
      await disk.resize(20 * MIB);
      expect(disk.size).toBe(20 * MIB);
      await disk.write(20 * MIB - 100, filled(100, 2));
      model.fill(2, 20 * MIB - 100);
      await disk.write(4 * MIB + 1000, filled(10_000, 3));
      model.fill(3, 4 * MIB + 1000, 4 * MIB + 11_000);
      expect(Buffer.compare(await readAll(disk), model)).toBe(0);
    }
    writeFileSync(directory.file("model.raw"), model);
    expect(qemuImg("compare", "-f", "qed", "-F", "raw", file, directory.file("model.raw"))).toContain("identical");
    expect(qemuCheck(file)).toEqual(expect.not.objectContaining({ corruptions: expect.anything() }));
  });

  test("keeps the entries of a table that was read in part", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImg("create", "-q", "-f", "qed", "-o", "cluster_size=4k,table_size=2", file, "4M");
    qemuIo(file, "write -P 5 3M 8k");
    await using graph = hostGraph();
    await using disk = await graph.open(file);
    await disk.resize(4 * MIB + 512);
    await disk.resize(4 * MIB + 512);
    const byte = new Uint8Array(1);
    await disk.read(3 * MIB + 100, byte);
    expect(byte[0]).toBe(5);
  });

  test("from nothing", async () => {
    const { graph } = await scriptedImage({ size: 0 });
    await using disk = await graph.open(inMemory);
    expect(disk.size).toBe(0);
    await disk.resize(MIB);
    await disk.write(MIB - 5, filled(5, 1));
    expect(await disk.check({ repair: "none" })).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
    await disk[Symbol.asyncDispose]();
    await graph[Symbol.asyncDispose]();
  });

  test("that fails leaves the size as it was", async () => {
    const { file, graph } = await scriptedImage({ size: MIB });
    const disk = await graph.open(inMemory);
    file.script = ({ kind }) => {
      if (kind === "write") throw new Error("the disk is away");
    };
    await expect(disk.resize(2 * MIB)).rejects.toThrow("the disk is away");
    expect(disk.size).toBe(MIB);
    file.script = () => {};
    await disk.write(MIB - 5, filled(5, 1));
    await disk[Symbol.asyncDispose]();
    await graph[Symbol.asyncDispose]();
  });
});

describe("refuses", () => {
  test.each<[what: string, size: number, options: object, code: string, words: string]>([
    ["to shrink", 512 * KIB, { shrink: true }, "UNSUPPORTED_FEATURE", "do not shrink, and it has 1048576"],
    ["a size that is no multiple of 512", MIB + 100, {}, "UNSUPPORTED_FEATURE", "multiple of 512, not 1048676"],
    ["a size above what the tables map", 2 ** 32 + 512, {}, "UNSUPPORTED_FEATURE", "at most 4294967296"],
    ["preallocation", 2 * MIB, { preallocation: "full" }, "UNSUPPORTED_FEATURE", "no preallocation 'full'"],
  ])("%s", async (_what, size, options, code, words) => {
    const { file, graph } = await scriptedImage({ size: MIB });
    const disk = await graph.open(inMemory);
    const resizing = disk.resize(size, options);
    await expect(resizing).rejects.toMatchObject({ code });
    await expect(resizing).rejects.toThrow(words);
    expect(disk.size).toBe(MIB);
    expect(file.writes()).toEqual([]);
    await graph[Symbol.asyncDispose]();
  });

  test("what would uncover the backing file", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    writeFileSync(directory.file("base.raw"), filled(2 * MIB, 7));
    qemuImg("create", "-q", "-f", "qed", "-b", "base.raw", "-F", "raw", file, "1M");
    await using graph = hostGraph();
    await using disk = await graph.open(file);
    await expect(disk.resize(2 * MIB)).rejects.toThrow("the backing file, of 2097152 bytes, would show through");
    await disk.resize(MIB);
  });
});

test("a backing file that ends before the image does not stand in the way", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  writeFileSync(directory.file("base.raw"), filled(MIB, 7));
  qemuImg("create", "-q", "-f", "qed", "-b", "base.raw", "-F", "raw", file, "1M");
  await using graph = hostGraph();
  {
    await using disk = await graph.open(file);
    await disk.resize(2 * MIB);
  }
  expect(qemuIo(file, "read -P 7 0 1M", "read -P 0 1M 1M")).toContain("read");
});
