/** The cache cleaner of an open image: from open to close, beside requests and drains. */

import { readFileSync, writeFileSync } from "node:fs";
import { BlockGraph, type BlockNode, fileDriver, memoryDriver, rawDriver, SimulatedClock } from "@coblock/core";
import { describe, expect, test } from "vitest";
import { qcow2Driver } from "../index.ts";
import { contentOf, expectClean, qemuContent, qemuCreate, Seeded, TemporaryDirectory } from "../test/images.ts";

const SECOND = 1000;
const KIB = 1024;
const MIB = 1024 * KIB;

function simulated(): { readonly clock: SimulatedClock; readonly graph: BlockGraph } {
  const clock = new SimulatedClock();
  return { clock, graph: new BlockGraph({ drivers: [fileDriver, memoryDriver, rawDriver, qcow2Driver], clock, implicitOpen: "allow" }) };
}

function emptyImage(size: string, options: string): Uint8Array {
  using directory = new TemporaryDirectory();
  return readFileSync(qemuCreate(directory.file("image.qcow2"), size, options));
}

/** Tables in memory. */
function kept(disk: BlockNode): { readonly l2: number | undefined; readonly blocks: number | undefined } {
  const { image } = disk.inspect() as { readonly image: { readonly [name: string]: { readonly entries: number } | undefined } };
  return { l2: image["l2Cache"]?.entries, blocks: image["refcountCache"]?.entries };
}

describe("the cleaner of an image", () => {
  test("drops tables of both kinds after two rounds without use, once they are on disk", async () => {
    const { clock, graph } = simulated();
    const bytes = emptyImage("64M", "cluster_size=4k");
    const disk = await graph.open({ driver: "qcow2", file: { driver: "memory", bytes }, cacheCleanInterval: 10 });
    for (let at = 0; at < 16 * MIB; at += 2 * MIB) await disk.write(at, Buffer.alloc(512, 1));
    await clock.advance(60 * SECOND);
    expect(kept(disk), "all are dirty").toEqual({ l2: 8, blocks: 1 });
    await disk.flush();
    await disk.read(0, new Uint8Array(512));
    await clock.advance(10 * SECOND);
    await disk.read(0, new Uint8Array(512));
    await clock.advance(10 * SECOND);
    expect(kept(disk)).toEqual({ l2: 1, blocks: 0 });
    await clock.advance(20 * SECOND);
    expect(kept(disk)).toEqual({ l2: 0, blocks: 0 });
    const read = Buffer.alloc(512);
    await disk.read(14 * MIB, read);
    expect(read.equals(Buffer.alloc(512, 1))).toBe(true);
    await disk[Symbol.asyncDispose]();
    expect(clock.timerCount).toBe(0);
  });

  test("comes every 600 seconds, in a read-only image too; not where the interval is 0", async () => {
    const { clock, graph } = simulated();
    const bytes = emptyImage("64M", "cluster_size=4k");
    const disk = await graph.open({ driver: "qcow2", file: { driver: "memory", bytes }, readOnly: true });
    await clock.advance(600 * SECOND - 1);
    expect(clock.timerCount).toBe(1);
    await disk[Symbol.asyncDispose]();
    expect(clock.timerCount).toBe(0);
    await using _quiet = await graph.open({ driver: "qcow2", file: { driver: "memory", bytes }, cacheCleanInterval: 0 });
    expect(clock.timerCount).toBe(0);
  });

  test("stands still while the image is drained", async () => {
    const { clock, graph } = simulated();
    const disk = await graph.open({ driver: "qcow2", file: { driver: "memory", bytes: emptyImage("64M", "") }, cacheCleanInterval: 1 });
    await disk.write(0, Buffer.alloc(512, 1));
    await disk.flush();
    const drained = await disk.drain();
    await clock.advance(10 * SECOND);
    expect([clock.timerCount, kept(disk).l2]).toEqual([0, 1]);
    await drained[Symbol.asyncDispose]();
    await clock.advance(2 * SECOND);
    expect([clock.timerCount, kept(disk).l2]).toEqual([1, 0]);
    await disk[Symbol.asyncDispose]();
  });

  test("is not there after an open that failed", async () => {
    const { clock, graph } = simulated();
    using directory = new TemporaryDirectory();
    const file = qemuCreate(directory.file("image.qcow2"), "1M");
    await expect(graph.open({ driver: "qcow2", file, backing: directory.file("none") })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(graph.open({ driver: "qcow2", file, l2CacheEntrySize: 3 })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    expect(clock.timerCount).toBe(0);
  });

  test.each([1, 2, 3])("seed %i: an image that is written while it comes every second is right and clean", async (seed) => {
    using directory = new TemporaryDirectory();
    const file = qemuCreate(directory.file("image.qcow2"), "16M", "cluster_size=4k,refcount_bits=64");
    const { clock, graph } = simulated();
    const options = { l2CacheSize: 0, l2CacheEntrySize: 512, refcountCacheSize: 0, cacheCleanInterval: 1 };
    const bytes = readFileSync(file);
    const base = await graph.open({ driver: "memory", bytes });
    const disk = await graph.open({ driver: "qcow2", file: base, ...options });
    const random = new Seeded(seed);
    const expected = Buffer.alloc(disk.size);
    for (let round = 0; round < 200; round++) {
      const offset = random.below(disk.size - 64 * KIB);
      const written = random.bytes(1 + random.below(64 * KIB));
      const request = random.once(4) ? disk.writeZeroes(offset, written.fill(0).length, { mayUnmap: true }) : disk.write(offset, written);
      if (random.once(2)) await clock.advance(random.below(3 * SECOND));
      await request;
      written.copy(expected, offset);
      if (random.once(10)) await disk.flush();
    }
    expect((await contentOf(disk)).equals(expected)).toBe(true);
    await disk[Symbol.asyncDispose]();
    const stored = Buffer.alloc(base.size);
    await base.read(0, stored);
    writeFileSync(file, stored);
    expectClean(file);
    expect(qemuContent(file).equals(expected)).toBe(true);
  });
});
