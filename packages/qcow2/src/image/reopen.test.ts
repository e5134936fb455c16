/** Cache options changed while the image is open: all or nothing, beside the cleaner, with nothing lost. */

import { readFileSync, writeFileSync } from "node:fs";
import { BlockGraph, type BlockNode, rawDriver, SimulatedClock } from "@coblock/core";
import { describe, expect, test } from "vitest";
import { qcow2Driver, type Qcow2Options } from "../index.ts";
import { contentOf, expectClean, qemuContent, qemuCreate, Seeded, TemporaryDirectory } from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";

const SECOND = 1000;
const KIB = 1024;
const MIB = 1024 * KIB;

interface Opened {
  readonly clock: SimulatedClock;
  readonly file: RecordedFile;
  readonly disk: BlockNode;
}

async function open(size: string, options: Partial<Qcow2Options> = {}, create = "cluster_size=4k"): Promise<Opened> {
  using directory = new TemporaryDirectory();
  const file = new RecordedFile(readFileSync(qemuCreate(directory.file("image.qcow2"), size, create)));
  const clock = new SimulatedClock();
  const graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver], clock });
  return { clock, file, disk: await graph.open({ driver: "qcow2", file: { driver: "memory" }, ...options }) };
}

function kept(disk: BlockNode): number | undefined {
  const { image } = disk.inspect() as { readonly image: { readonly l2Cache?: { readonly entries: number } } };
  return image.l2Cache?.entries;
}

async function readEach(disk: BlockNode): Promise<void> {
  for (let at = 0; at < 16 * MIB; at += 2 * MIB) await disk.read(at, new Uint8Array(1));
}

describe("reopening qcow2", () => {
  test("changes how much is kept, and goes back to the default", async () => {
    const { disk } = await open("16M");
    for (let at = 0; at < 16 * MIB; at += 2 * MIB) await disk.write(at, Buffer.alloc(1, 1));
    expect(kept(disk)).toBe(8);
    await disk.reopen({ l2CacheSize: 12 * KIB, l2CacheEntrySize: 4096 });
    expect(kept(disk), "what is too much goes").toBe(3);
    await readEach(disk);
    expect(kept(disk)).toBe(3);
    await disk.reopen({ l2CacheEntrySize: 512 });
    expect(kept(disk), "slices of another size begin empty").toBe(0);
    await readEach(disk);
    expect(kept(disk), "12 KiB of slices, and there are 8 in use").toBe(8);
    await disk.reopen({ l2CacheSize: undefined, l2CacheEntrySize: undefined });
    await readEach(disk);
    expect(kept(disk)).toBe(8);
    await disk[Symbol.asyncDispose]();
  });

  test("is refused where the options together are, and then nothing is changed", async () => {
    const { disk, clock } = await open("16M", { l2CacheSize: 8 * KIB, cacheCleanInterval: 5 });
    await expect(disk.reopen({ cacheSize: MIB, refcountCacheSize: 4096 })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(disk.reopen({ cacheCleanInterval: 1, l2CacheEntrySize: 100 })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(disk.reopen({ backing: null })).rejects.toThrow(/option 'backing' cannot be changed while the image is open/);
    expect(clock.timerCount).toBe(1);
    await disk.write(0, Buffer.alloc(1, 1));
    await disk.flush();
    await clock.advance(9 * SECOND);
    expect(kept(disk)).toBe(1);
    await clock.advance(SECOND);
    expect(kept(disk)).toBe(0);
    await disk[Symbol.asyncDispose]();
  });

  test("gives the cleaner another interval, and 0 ends it", async () => {
    const { disk, clock } = await open("16M");
    await disk.write(0, Buffer.alloc(1, 1));
    await disk.reopen({ cacheCleanInterval: 1 });
    await clock.advance(2 * SECOND);
    expect([kept(disk), clock.timerCount]).toEqual([0, 1]);
    await disk.reopen({ cacheCleanInterval: 0 });
    expect(clock.timerCount).toBe(0);
    await disk.reopen({ cacheCleanInterval: undefined });
    expect(clock.timerCount).toBe(1);
    await disk[Symbol.asyncDispose]();
    expect(clock.timerCount).toBe(0);
  });

  test("fails where anything cannot be written, leaves everything as it was, and the cleaner goes on", async () => {
    let failures = 0;
    for (let operations = 0; ; operations++) {
      const { disk, clock, file } = await open("16M", { cacheCleanInterval: 1 });
      await disk.write(0, Buffer.alloc(8 * KIB, 1));
      await disk.flush();
      await disk.write(0, Buffer.alloc(4 * KIB, 2));
      await disk.discard(4 * KIB, 4 * KIB);
      file.operationsUntilFailure = operations;
      const failure: unknown = await disk.reopen({ l2CacheEntrySize: 512, cacheCleanInterval: 0 }).then(
        () => undefined,
        (error: unknown) => error,
      );
      const struck = file.operationsUntilFailure < 0;
      file.operationsUntilFailure = Number.POSITIVE_INFINITY;
      // A discard on the host may fail unheard.
      const failed = failure !== undefined;
      failures += failed ? 1 : 0;
      expect([kept(disk), clock.timerCount]).toEqual(failed ? [1, 1] : [0, 0]);
      expect((await contentOf(disk)).subarray(0, 8 * KIB).every((byte, at) => byte === (at < 4 * KIB ? 2 : 0))).toBe(true);
      await disk[Symbol.asyncDispose]().catch((error: unknown) => expect(failed, String(error)).toBe(true));
      expect(clock.timerCount).toBe(0);
      if (!struck) break;
    }
    expect(failures).toBeGreaterThan(2);
  });

  test("beside requests, at any time: the image is right and clean", async () => {
    const { disk, clock, file } = await open("16M", { cacheCleanInterval: 1 });
    const random = new Seeded(11);
    const expected = Buffer.alloc(disk.size);
    for (let round = 0; round < 150; round++) {
      const offset = random.below(disk.size - 64 * KIB);
      const bytes = random.bytes(1 + random.below(64 * KIB));
      const writing = disk.write(offset, bytes);
      const reopening = disk.reopen({
        l2CacheEntrySize: random.pick([512, 1024, 2048, 4096]),
        l2CacheSize: random.below(16) * KIB,
        refcountCacheSize: random.below(64) * KIB,
        cacheCleanInterval: random.below(3),
      });
      if (random.once(3)) await clock.advance(random.below(4 * SECOND));
      await Promise.all([writing, reopening]);
      bytes.copy(expected, offset);
    }
    expect((await contentOf(disk)).equals(expected)).toBe(true);
    await disk[Symbol.asyncDispose]();
    using directory = new TemporaryDirectory();
    const copy = directory.file("image.qcow2");
    writeFileSync(copy, file.bytes);
    expectClean(copy);
    expect(qemuContent(copy).equals(expected)).toBe(true);
  });

  test("a disk that outgrows the largest cache by default gets smaller slices, with nothing lost", async () => {
    const { disk, file } = await open("60G", {}, "cluster_size=16k");
    await disk.write(0, Buffer.alloc(64 * KIB, 1));
    await disk.resize(70 * 2 ** 30);
    await disk.write(32 * KIB, Buffer.alloc(64 * KIB, 2));
    await disk.write(70 * 2 ** 30 - 4096, Buffer.alloc(4096, 3));
    const read = Buffer.alloc(128 * KIB);
    await disk.read(0, read);
    expect(read.equals(Buffer.concat([Buffer.alloc(32 * KIB, 1), Buffer.alloc(64 * KIB, 2), Buffer.alloc(32 * KIB)]))).toBe(true);
    await disk[Symbol.asyncDispose]();
    using directory = new TemporaryDirectory();
    const copy = directory.file("image.qcow2");
    writeFileSync(copy, file.bytes);
    expectClean(copy);
  });

  test("a larger disk gets larger caches", async () => {
    const { disk } = await open("4M");
    await disk.resize(16 * MIB);
    for (let at = 0; at < 16 * MIB; at += 2 * MIB) await disk.write(at, Buffer.alloc(1, 1));
    await disk.flush();
    await readEach(disk);
    expect(kept(disk)).toBe(8);
    await disk[Symbol.asyncDispose]();
  });
});
