import type { BlockDriver } from "@coblock/core";
import { beforeAll, describe, expect, it } from "vitest";
import { qcow2Driver } from "./index.ts";
import { hostGraph, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "./test/images.ts";

let driver: BlockDriver;
beforeAll(async () => {
  driver = await qcow2Driver.load();
});

function theirs(...words: string[]): object {
  const { required, "fully-allocated": fullyAllocated } = JSON.parse(
    qemuImg("measure", "--output=json", "-O", "qcow2", ...words),
  ) as Record<string, number>;
  return { required, fullyAllocated };
}

describe("measure counts as qemu-img measure counts", () => {
  it("sizes and options", async () => {
    const random = new Seeded(11);
    for (let round = 0; round < 40; round++) {
      const cluster_size = 512 * 2 ** (3 + random.below(10));
      const values = {
        cluster_size,
        refcount_bits: 2 ** random.below(7),
        extended_l2: cluster_size >= 16_384 && random.once(2),
        preallocation: random.pick(["off", "metadata", "falloc", "full"]),
      };
      const size = random.below(2 ** 31) * 2 ** random.below(8);
      const words = Object.entries(values).map(([name, value]) => `${name}=${value === true ? "on" : value === false ? "off" : value}`);
      expect(await driver.measure?.({ size, values })).toEqual(theirs("-o", words.join(","), "--size", String(size)));
    }
  });

  it("content", async () => {
    using folder = new TemporaryDirectory();
    const random = new Seeded(12);
    await using graph = hostGraph();
    for (let round = 0; round < 10; round++) {
      const file = qemuCreate(folder.file(`image ${round}`), "20M", `cluster_size=${512 * 2 ** random.below(8)}`);
      for (let step = 0; step < 6; step++)
        qemuIo(file, `${random.pick(["write", "write -z"])} ${random.below(30_000) * 512} ${(1 + random.below(900)) * 512}`);
      const cluster_size = 512 * 2 ** random.below(13);
      await using disk = await graph.open(file, { readOnly: true });
      expect(await driver.measure?.({ size: disk.size, values: { cluster_size }, extents: disk.extents() })).toEqual(
        theirs("-o", `cluster_size=${cluster_size}`, file),
      );
    }
  });

  it("everything, where a backing file hides what is needed", async () => {
    const size = 2 ** 30;
    const full = await driver.measure?.({ size, values: {} });
    expect(await driver.measure?.({ size, values: {}, hasBacking: true })).toEqual({
      required: full?.fullyAllocated,
      fullyAllocated: full?.fullyAllocated,
    });
  });

  it("refuses what cannot be made", async () => {
    await expect(driver.measure?.({ size: 2 ** 42, values: { cluster_size: 512 } })).rejects.toThrow("too large");
    await expect(driver.measure?.({ size: 2 ** 30, values: { cluster_size: 513 } })).rejects.toThrow("power of two");
  });
});
