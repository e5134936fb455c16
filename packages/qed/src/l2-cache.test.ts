/** The memory that L2 tables take: never more than was allowed, with many readers and with the largest tables there can be. */

import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

import { assert, type BlockNode, SystemClock, type TableCacheStatistics } from "@coblock/core";
import { expect, test } from "vitest";

import { MAX_BACKING_NAME_LENGTH, type QedHeader, writeHeader } from "./header.ts";
import { filled, hostGraph, inMemory, scriptedImage, seeded, TemporaryDirectory } from "./test/images.ts";

const CLUSTER = 4096;
const TABLE = 2 * CLUSTER;
/** Guest bytes of an L2 table. */
const SPAN = (TABLE / 8) * CLUSTER;
const TABLES = 200;
const READERS = 16;
const CACHED = 50;

const MIB = 1024 * 1024;

function statisticsOf(disk: BlockNode): TableCacheStatistics {
  const { image } = disk.inspect() as { readonly image: { readonly l2Cache: TableCacheStatistics } };
  return image.l2Cache;
}

test.each([1, 2])("readers of four times as many tables as the cache holds (seed %i)", async (seed) => {
  const { file, graph } = await scriptedImage({ size: TABLES * SPAN });
  await using _graph = graph;
  const tablesStart = file.content.length;
  file.content = Uint8Array.from([...file.content, ...new Uint8Array(TABLES * TABLE)]);
  const view = new DataView(file.content.buffer);
  for (let table = 0; table < TABLES; table++) {
    view.setBigUint64(CLUSTER + table * 8, BigInt(tablesStart + table * TABLE), true);
    view.setBigUint64(tablesStart + table * TABLE + (table + 1) * 8, 1n, true);
  }
  const disk = await graph.open(inMemory);

  const clock = new SystemClock();
  const random = seeded(seed);
  const inFlight = new Set<number>();
  let reads = 0;
  file.script = async ({ kind, offset }) => {
    if (kind !== "read" || offset < tablesStart) return;
    expect(inFlight).not.toContain(offset);
    inFlight.add(offset);
    reads++;
    for (let turns = 1 + random(4); turns > 0; turns--) await clock.yield();
    inFlight.delete(offset);
  };
  const reader = async (): Promise<void> => {
    for (let count = 0; count < 150; count++) {
      const table = random(4) === 0 ? random(8) : random(TABLES);
      expect(await disk.status(table * SPAN, SPAN)).toMatchObject({ kind: "unallocated", length: (table + 1) * CLUSTER });
      expect(await disk.status(table * SPAN + (table + 1) * CLUSTER, SPAN)).toMatchObject({ kind: "zero", length: CLUSTER });
      const bytes = filled(512, 9);
      await disk.read(table * SPAN + (table + 1) * CLUSTER, bytes);
      expect(bytes).toEqual(filled(512, 0));
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));

  const { hits, misses, evictions, entries, overshoot } = statisticsOf(disk);
  expect(reads).toBeGreaterThan(TABLES);
  expect(misses).toBe(reads);
  expect(entries).toBe(misses - evictions);
  expect(entries).toBeLessThanOrEqual(CACHED + 1);
  expect(overshoot).toBeLessThanOrEqual(READERS);
  expect(hits).toBeGreaterThanOrEqual(READERS * 150 * 2);
});

/** Clusters of 64 MiB in tables of sixteen: a table has 1 GiB, and the L1 table may lead to 2^27 of them. */
const LARGEST: QedHeader = {
  clusterSize: 2 ** 26,
  tableClusters: 16,
  headerClusters: 1,
  features: 0n,
  compatFeatures: 0n,
  autoclearFeatures: 0n,
  l1Offset: 2 ** 26,
  imageSize: 2 ** 53 - 512,
  backingNameOffset: 64,
  backingNameLength: MAX_BACKING_NAME_LENGTH,
};

test("tables of a gigabyte are read and written in slices of 256 KiB", async () => {
  using directory = new TemporaryDirectory();
  const name = directory.file("largest.qed");
  const handle = openSync(name, "w");
  const bytes = new Uint8Array(512);
  writeHeader(bytes, LARGEST);
  writeSync(handle, bytes);
  ftruncateSync(handle, LARGEST.l1Offset + 16 * LARGEST.clusterSize);
  closeSync(handle);
  const places = Array.from({ length: 120 }, (_, index) => index * 2 ** 46);
  for (const session of ["write", "read"]) {
    await using graph = hostGraph();
    await using disk = await graph.open(name);
    const file = disk.children.get("file")?.node;
    assert(file !== undefined, "a format has a file");
    for (const [index, offset] of places.entries()) {
      const byte = filled(1, index + 1);
      if (session === "write") await disk.writeZeroes(offset, LARGEST.clusterSize);
      if (session === "write" && index % 40 === 0) await disk.write(offset + 12345, byte);
      await disk.read(offset + 12345, byte);
      expect(byte[0]).toBe(index % 40 === 0 ? index + 1 : 0);
      expect(await disk.status(offset, 2 * LARGEST.clusterSize)).toMatchObject({
        kind: index % 40 === 0 ? "data" : "zero",
        length: LARGEST.clusterSize,
      });
    }
    expect(statisticsOf(disk).entries).toBeLessThanOrEqual(CACHED);
    const { read, write } = file.requests.statistics.snapshot();
    expect(read.bytes).toBeLessThan(40 * MIB);
    expect(write.bytes).toBeLessThan(40 * MIB);
  }
});

test.each([
  [2 ** 20, 4],
  [0, 1],
  [300 * 1024, 1],
])("an l2CacheSize of %i bytes keeps %i slices of a large table", async (l2CacheSize, kept) => {
  const { file, graph } = await scriptedImage({ size: 2 ** 36, clusterSize: 65536, tableSize: 16 });
  await using _graph = graph;
  const disk = await graph.open({ ...inMemory, l2CacheSize });
  await disk.writeZeroes(0, 65536);
  file.log.length = 0;
  for (const slice of [0, 1, 2, 3]) await disk.status(slice * 2 ** 31, 1);
  for (const slice of [0, 1, 2, 3]) await disk.status(slice * 2 ** 31, 1);
  expect(file.log.map(({ length }) => length)).toEqual(Array.from({ length: kept === 4 ? 3 : 7 }, () => 256 * 1024));
  expect(statisticsOf(disk)).toMatchObject({ entries: kept });
});
