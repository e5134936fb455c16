import { describe, expect, it } from "vitest";
import { LabDisk } from "../fixture/lab-disk.ts";
import { filled, openDisk, openLab, settled } from "../fixture/lab.ts";
import { BlockGraph } from "../graph.ts";
import { memoryDriver } from "../drivers/memory.ts";
import type { BlockNode } from "../node.ts";
import type { DirtyBitmap } from "./dirty-bitmap.ts";

const KIB = 1024;

function openMemory(size: number): Promise<BlockNode> {
  const graph = new BlockGraph({ drivers: [memoryDriver] });
  return graph.open({ driver: "memory", size });
}

function dirty(bitmap: DirtyBitmap): [number, number][] {
  return [...bitmap.extents()].map(({ offset, length }) => [offset, length]);
}

describe("a bitmap of a node", () => {
  it("follows writes, zeros, discards and compressed writes, by whole granules", async () => {
    const { node } = await openLab();
    const bitmap = await node.bitmaps.add({ name: "b", granularity: 512 });
    await node.write(700, filled(10, 1));
    await node.writeZeroes(2048, 1);
    await node.discard(4096, 4096);
    await node.writeCompressed(8192, filled(512, 2));
    expect(dirty(bitmap)).toEqual([
      [512, 512],
      [2048, 512],
      [4096, 4608],
    ]);
    expect(bitmap.dirtyBytes).toBe(5632);
    expect([bitmap.isDirty(0), bitmap.isDirty(1023), bitmap.isDirty(1024), bitmap.isDirty(2 ** 40)]).toEqual([false, true, false, false]);
    expect([...bitmap.extents({ offset: 600, length: 3600 })]).toEqual([
      { offset: 600, length: 424 },
      { offset: 2048, length: 512 },
      { offset: 4096, length: 104 },
    ]);
  });

  it("has what a failed write may have changed", async () => {
    const disk = new LabDisk(64 * KIB);
    const node = await openDisk(disk);
    const bitmap = await node.bitmaps.add({ name: "b" });
    disk.fails = (name) => (name.startsWith("write") ? new Error("the disk says no") : undefined);
    await expect(node.write(0, filled(512, 1))).rejects.toThrow("the disk says no");
    expect(bitmap.dirtyBytes).toBe(64 * KIB);
  });

  it("is made when no request is in flight, and set before a write is answered", async () => {
    const disk = new LabDisk(1024 * KIB);
    const node = await openDisk(disk);
    const first = await node.bitmaps.add({ name: "first", granularity: 64 * KIB });
    disk.holds = (name) => name === "write 0+512";
    const write = node.write(0, filled(512, 1));
    const added = node.bitmaps.add({ name: "second", granularity: 64 * KIB });
    await settled();
    const later = node.write(128 * KIB, filled(512, 2));
    await settled();
    expect(first.dirtyBytes).toBe(0);
    disk.release();
    await write;
    await later;
    expect(dirty(await added)).toEqual([[128 * KIB, 64 * KIB]]);
    expect(dirty(first)).toEqual([
      [0, 64 * KIB],
      [128 * KIB, 64 * KIB],
    ]);
  });

  it("follows nothing while it is disabled, and keeps what it has", async () => {
    const node = await openMemory(1024 * KIB);
    const bitmap = await node.bitmaps.add({ name: "b" });
    await node.write(0, filled(1, 1));
    await node.bitmaps.disable("b");
    await node.write(100_000, filled(1, 1));
    await node.bitmaps.enable("b");
    await node.write(200_000, filled(1, 1));
    expect(dirty(bitmap)).toEqual([
      [0, 65_536],
      [196_608, 65_536],
    ]);
    await node.bitmaps.clear("b");
    expect([bitmap.dirtyBytes, bitmap.enabled]).toEqual([0, true]);
  });

  it("takes what others have, also of other granularity and other nodes", async () => {
    const [node, other] = [await openMemory(1_000_000), await openMemory(1_000_000)];
    const coarse = await node.bitmaps.add({ name: "coarse", granularity: 65_536 });
    await node.bitmaps.add({ name: "fine", granularity: 512 });
    await node.write(999_999, filled(1, 1));
    const source = await other.bitmaps.add({ name: "source", granularity: 4096 });
    await other.write(70_000, filled(1, 1));
    await node.bitmaps.merge("coarse", ["fine", "coarse", source]);
    expect(dirty(coarse)).toEqual([
      [65_536, 65_536],
      [983_040, 16_960],
    ]);
    expect(coarse.dirtyBytes).toBe(65_536 + 16_960);
    const small = await (await openMemory(512)).bitmaps.add({ name: "small" });
    await expect(node.bitmaps.merge("fine", [source, small])).rejects.toThrow(
      "Bitmaps are of different sizes (destination size is 1000000, source size is 512) and can't be merged",
    );
    expect((await node.bitmaps.get("fine")).dirtyBytes).toBe(1_000_000 - 999_936);
  });

  it("grows and shrinks with the disk, and with a write past its end", async () => {
    const node = await openMemory(1024 * KIB);
    const bitmap = await node.bitmaps.add({ name: "b", granularity: 512 });
    await node.bitmaps.add({ name: "off", granularity: 512, enabled: false });
    await node.requests.write(1024 * KIB, filled(1024, 1), undefined, true);
    await node.resize(2048 * KIB);
    expect([bitmap.size, bitmap.dirtyBytes]).toEqual([2048 * KIB, 1024]);
    await node.resize(512 * KIB, { shrink: true });
    await node.resize(1024 * KIB);
    expect(bitmap.dirtyBytes).toBe(0);
    expect((await node.bitmaps.get("off")).size).toBe(1024 * KIB);
  });

  it("is refused for what it cannot be", async () => {
    const node = await openMemory(4096);
    await node.bitmaps.add({ name: "b" });
    const refused = (work: Promise<unknown>, message: string): Promise<void> => expect(work).rejects.toThrow(message);
    await refused(node.bitmaps.add({ name: "" }), "Bitmap name cannot be empty");
    await refused(node.bitmaps.add({ name: "b" }), "Bitmap already exists: b");
    for (const granularity of [0, 256, 1000, 2 ** 32, Number.NaN])
      await refused(node.bitmaps.add({ name: "c", granularity }), "Granularity must be power of 2 and at least 512");
    await refused(node.bitmaps.add({ name: "c", persistent: true }), "Can't store persistent bitmaps to");
    await refused(node.bitmaps.get("c"), "Dirty bitmap 'c' not found");
    await refused(node.bitmaps.merge("b", ["c"]), "Dirty bitmap 'c' not found");
    await refused(node.bitmaps.remove("c"), "Dirty bitmap 'c' not found");
    {
      using _held = (await node.bitmaps.get("b")).hold();
      for (const change of ["clear", "enable", "disable", "remove"] as const)
        await refused(node.bitmaps[change]("b"), "Bitmap 'b' is currently in use by another operation and cannot be used");
      await node.write(0, filled(1, 1));
    }
    expect((await node.bitmaps.get("b")).dirtyBytes).toBe(4096);
    await node.bitmaps.remove("b");
    expect(node.bitmaps.loaded).toEqual([]);
    await node.write(0, filled(1, 1));
  });
});
