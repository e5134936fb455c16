/** Opening costs what it must: the drivers that the image needs, and the bytes that its format needs. */

import { BlockGraph, type DriverEntry, fileDriver, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";
import { TestStorage } from "@coblock/testing";
import { expect, it } from "vitest";
import { Workbench } from "../tools/workbench.ts";

it.each(["raw", "qcow2", "qed"])("a %s image loads no driver but its own and the file's", async (driver) => {
  using bench = new Workbench();
  const loaded: string[] = [];
  const watched = (entry: DriverEntry): DriverEntry => ({
    ...entry,
    load: () => {
      loaded.push(entry.name);
      return entry.load();
    },
  });
  {
    await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver, qedDriver] });
    await graph.create({ driver, filename: bench.path("image"), size: 1024 * 1024 });
  }
  await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver, qedDriver].map(watched) });
  await using disk = await graph.open(bench.path("image"), { readOnly: true });
  expect(disk.driver).toBe(driver);
  expect(new Set(loaded)).toEqual(new Set(["file", driver]));
});

it("a clean qcow2 image that is only read is opened with its header cluster and its L1 table", async () => {
  const storage = new TestStorage();
  await using graph = new BlockGraph({ drivers: [storage.driver, qcow2Driver] });
  const clusterSize = 4096;
  await graph.create({ driver: "qcow2", filename: "test:image", size: 64 * 1024 * 1024, values: { cluster_size: clusterSize } });
  {
    await using disk = await graph.open({ driver: "qcow2", file: "test:image" });
    for (let offset = 0; offset < disk.size; offset += 1024 * 1024) await disk.write(offset, Buffer.alloc(4096, 1));
  }
  const before = storage.log.length;
  await using disk = await graph.open({ driver: "qcow2", file: "test:image", readOnly: true });
  const operations = storage.log.slice(before);
  expect(new Set(operations.map(({ kind }) => kind))).toEqual(new Set(["read"]));
  const l1Length = (disk.size / clusterSize / (clusterSize / 8)) * 8;
  const others = operations.filter(({ offset, length }) => offset + length > clusterSize);
  expect(others.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(l1Length);
});
