/** Writes through the whole stack, compared with a model in memory and with QEMU. */

import { readFileSync, writeFileSync } from "node:fs";

import { BlockGraph, type BlockNode, memoryDriver } from "@coblock/core";
import { describe, expect, test } from "vitest";

import { qedDriver } from "./index.ts";
import {
  filled,
  hostGraph,
  inMemory,
  qemuCheck,
  qemuImg,
  qemuIo,
  readAll,
  scriptedImage,
  seeded,
  TemporaryDirectory,
} from "./test/images.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Random writes and zero writes, some at the same time but never two of them to one byte; `model` gets them too. */
async function scribble(disk: BlockNode, model: Uint8Array, random: (below: number) => number, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const pending: Promise<void>[] = [];
    const taken: [start: number, end: number][] = [];
    for (let count = 1 + random(12); count > 0; count--) {
      const aligned = random(3) === 0 ? 4 * KIB : random(2) === 0 ? 512 : 1;
      const offset = Math.floor(random(model.length) / aligned) * aligned;
      const length = Math.min(
        model.length - offset,
        Math.max(aligned, Math.floor((1 + random(random(8) === 0 ? 300_000 : 20_000)) / aligned) * aligned),
      );
      if (taken.some(([start, end]) => offset < end && offset + length > start)) continue;
      taken.push([offset, offset + length]);
      if (random(4) === 0) {
        model.fill(0, offset, offset + length);
        pending.push(disk.writeZeroes(offset, length, { mayUnmap: random(2) === 0 }));
      } else {
        const bytes = filled(length, 1 + random(255));
        model.set(bytes, offset);
        pending.push(disk.write(offset, bytes));
      }
    }
    await Promise.all(pending);
    if (random(10) === 0) await disk.flush();
    const offset = random(model.length);
    const bytes = new Uint8Array(Math.min(model.length - offset, random(100_000)));
    await disk.read(offset, bytes);
    expect(Buffer.compare(bytes, model.subarray(offset, offset + bytes.length))).toBe(0);
  }
}

describe("any writes: what is read is the model's, and qemu-img finds no error and no leak", () => {
  const shapes = [
    { clusterSize: 4 * KIB, tableSize: 2, size: 9 * MIB + 512 },
    { clusterSize: 4 * KIB, tableSize: 16, size: 5 * MIB },
    { clusterSize: 64 * KIB, tableSize: 4, size: 20 * MIB + 512 },
    { clusterSize: 2 * MIB, tableSize: 2, size: 30 * MIB + 512 },
  ];
  const cases = shapes.flatMap((shape) =>
    ["none", "shorter", "longer"].map((backing, index) => ({ ...shape, backing, seed: shape.clusterSize + shape.tableSize + index })),
  );

  test.each(cases)(
    "clusters of $clusterSize, tables of $tableSize, backing file: $backing",
    async ({ clusterSize, tableSize, size, backing, seed }) => {
      using directory = new TemporaryDirectory();
      const file = directory.file("image.qed");
      const random = seeded(seed);
      const model = new Uint8Array(size);
      if (backing !== "none") {
        const base = new Uint8Array(backing === "shorter" ? size - 3 * MIB : size + MIB);
        for (let offset = 0; offset < base.length; offset += 100) base.fill(1 + ((offset / 100) % 251), offset, offset + 100);
        writeFileSync(directory.file("base.raw"), base);
        model.set(base.subarray(0, size));
      }
      await using graph = hostGraph();
      const named = backing === "none" ? {} : { backing: { filename: "base.raw", format: "raw" } };
      await graph.create({ driver: "qed", filename: file, size, values: { cluster_size: clusterSize, table_size: tableSize }, ...named });
      for (let session = 0; session < 3; session++) {
        await using disk = await graph.open(session === 1 ? { driver: "qed", file, l2CacheSize: 0 } : file);
        await scribble(disk, model, random, 40);
        expect(Buffer.compare(await readAll(disk), model)).toBe(0);
      }
      expect(qemuCheck(file)).not.toHaveProperty("corruptions");
      expect(qemuCheck(file)).not.toHaveProperty("leaks");
      writeFileSync(directory.file("model.raw"), model);
      expect(qemuImg("compare", "-f", "qed", "-F", "raw", file, directory.file("model.raw"))).toContain("identical");
      expect(readFileSync(file).readBigUInt64LE(16)).toBe(backing === "none" ? 0n : 5n);
    },
  );
});

test("the largest clusters and tables", async () => {
  await using graph = new BlockGraph({ drivers: [memoryDriver, qedDriver] });
  const file = await graph.open({ driver: "memory" });
  await graph.create({ driver: "qed", filename: "image", file, size: 2 ** 40, values: { cluster_size: 2 ** 26, table_size: 16 } });
  await using disk = await graph.open({ driver: "qed", file });
  await disk.write(2 ** 40 - 7, filled(7, 1));
  await disk.write(5, filled(7, 2));
  await disk.writeZeroes(2 ** 39, 2 ** 27);
  const bytes = new Uint8Array(9);
  await disk.read(2 ** 40 - 9, bytes);
  expect([...bytes]).toEqual([0, 0, 1, 1, 1, 1, 1, 1, 1]);
  await disk.read(4, bytes);
  expect([...bytes]).toEqual([0, 2, 2, 2, 2, 2, 2, 2, 0]);
  expect(await disk.check({ repair: "none" })).toMatchObject({
    errors: 0,
    corruptions: 0,
    leaks: 0,
    clusters: { total: 2 ** 14, allocated: 2 },
  });
  await disk[Symbol.asyncDispose]();
});

describe("zero writes", () => {
  test("mark clusters without data, keep the space of those with data, and hide the backing file", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    writeFileSync(directory.file("base.raw"), filled(MIB, 7));
    qemuImg("create", "-q", "-f", "qed", "-o", "cluster_size=4k,table_size=2", "-b", "base.raw", "-F", "raw", file);
    qemuIo(file, "write -P 1 8k 8k");
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await disk.writeZeroes(0, 32 * KIB);
      await disk.writeZeroes(100 * KIB + 1, 4 * KIB);
    }
    const map = JSON.parse(qemuImg("map", "-f", "qed", "--output=json", file)) as {
      start: number;
      length: number;
      data: boolean;
      zero: boolean;
      depth: number;
    }[];
    expect(map.map(({ start, length, data, zero, depth }) => [start / KIB, length / KIB, data, zero, depth])).toEqual([
      [0, 8, false, true, 0],
      [8, 8, true, false, 0],
      [16, 16, false, true, 0],
      [32, 68, true, false, 1],
      [100, 8, true, false, 0],
      [108, 916, true, false, 1],
    ]);
    expect(qemuIo(file, "read -P 0 0 32k", "read -P 7 32k 65k", "read -P 0 102401 4096", "read -P 7 106497 1023")).toContain("read");
    expect(qemuCheck(file)).toMatchObject({ "allocated-clusters": 4, "check-errors": 0 });
  });

  test("a write into a zero cluster keeps zeros around it, not the backing file", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    writeFileSync(directory.file("base.raw"), filled(MIB, 7));
    qemuImg("create", "-q", "-f", "qed", "-b", "base.raw", "-F", "raw", file);
    qemuIo(file, "write -z 64k 64k");
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await disk.write(64 * KIB + 100, filled(100, 3));
    }
    expect(
      qemuIo(file, "read -P 7 0 64k", "read -P 0 64k 100", "read -P 3 65636 100", "read -P 0 65736 65336", "read -P 7 128k 64k"),
    ).toContain("read");
  });

  test("over zeros that are there already write nothing", async () => {
    const { file, graph } = await scriptedImage({ size: MIB });
    await using disk = await graph.open(inMemory);
    await disk.writeZeroes(0, MIB);
    const writes = file.writes().length;
    await disk.writeZeroes(0, MIB);
    await disk.writeZeroes(1000, 5000);
    expect(file.writes().length).toBe(writes);
    await disk[Symbol.asyncDispose]();
    await graph[Symbol.asyncDispose]();
  });

  test("a discard changes nothing", async () => {
    const { file, graph } = await scriptedImage({ size: MIB });
    await using disk = await graph.open(inMemory);
    await disk.write(0, filled(16 * KIB, 1));
    const writes = file.writes().length;
    await disk.discard(0, 16 * KIB);
    expect(file.writes().length).toBe(writes);
    await disk[Symbol.asyncDispose]();
    await graph[Symbol.asyncDispose]();
  });
});

test("the file ends with a whole cluster, whatever part of it was written", async () => {
  const { file, graph } = await scriptedImage({ size: MIB });
  await using disk = await graph.open(inMemory);
  await disk.write(10, filled(1, 1));
  expect(file.content.length % 4096).toBe(0);
  await disk.write(100_000, filled(1, 1));
  expect(file.content.length % 4096).toBe(0);
  await disk[Symbol.asyncDispose]();
  await graph[Symbol.asyncDispose]();
});

test.each([1, 2, 3, 4, 5, 6])(
  "the order in which the file answers does not matter, nor how few tables are kept (seed %i)",
  async (seed) => {
    const random = seeded(seed);
    const { file, graph } = await scriptedImage({ size: 13 * MIB });
    file.script = async () => {
      for (let turns = random(random(4) === 0 ? 200 : 6); turns > 0; turns--) await Promise.resolve();
    };
    const model = new Uint8Array(13 * MIB);
    const disk = await graph.open({ ...inMemory, l2CacheSize: seed % 2 === 0 ? 0 : 2 * 8192 });
    await scribble(disk, model, random, 60);
    expect(Buffer.compare(await readAll(disk), model)).toBe(0);
    expect(await disk.check({ repair: "none" })).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
    await disk[Symbol.asyncDispose]();
    const again = await graph.open(inMemory);
    expect(Buffer.compare(await readAll(again), model)).toBe(0);
    await graph[Symbol.asyncDispose]();
  },
);

test("writes of different clusters at the same time do not meet in a cluster of the file", async () => {
  const { file, graph } = await scriptedImage({ size: 16 * MIB });
  file.script = () => Promise.resolve();
  await using disk = await graph.open(inMemory);
  const count = 300;
  const at = (index: number): number => ((index * 37) % count) * 4096 * 13;
  await Promise.all(Array.from({ length: count }, (_, index) => disk.write(at(index) + (index % 4000), filled(64, 1 + (index % 255)))));
  for (let index = 0; index < count; index++) {
    const bytes = new Uint8Array(64);
    await disk.read(at(index) + (index % 4000), bytes);
    expect(bytes.every((byte) => byte === 1 + (index % 255))).toBe(true);
  }
  expect(await disk.check({ repair: "none" })).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
  await disk[Symbol.asyncDispose]();
  await graph[Symbol.asyncDispose]();
});

test("writes of one cluster at the same time allocate it once", async () => {
  const { file, graph } = await scriptedImage({ size: MIB });
  file.script = () => Promise.resolve();
  await using disk = await graph.open(inMemory);
  await Promise.all(Array.from({ length: 64 }, (_, index) => disk.write(index * 64, filled(64, index + 1))));
  const bytes = new Uint8Array(4096);
  await disk.read(0, bytes);
  expect(bytes.every((byte, offset) => byte === Math.floor(offset / 64) + 1)).toBe(true);
  expect(await disk.check({ repair: "none" })).toMatchObject({ leaks: 0, clusters: { allocated: 1 } });
  await disk[Symbol.asyncDispose]();
  await graph[Symbol.asyncDispose]();
});

test("graph.inspect() counts what the L2 cache did", async () => {
  const { graph } = await scriptedImage({ size: 12 * MIB });
  await using disk = await graph.open(inMemory);
  await disk.write(0, filled(512, 1));
  await disk.read(0, new Uint8Array(512));
  const { image } = disk.inspect() as { readonly image: object };
  expect(image).toMatchObject({ l2Cache: { entries: 1, evictions: 0, overshoot: 0 } });
});
