import { BlockGraph, type BlockNode, SimulatedClock } from "@coblock/core";
import { describe, expect, test } from "vitest";

import { qedDriver } from "./index.ts";
import { filled, inMemory, scriptedImage } from "./test/images.ts";
import type { Operation, ScriptedFile } from "./test/scripted-file.ts";

const CLUSTER = 4096;
const shape = { size: 1024 * 1024 };

function isSet(file: ScriptedFile): boolean {
  return ((file.content[16] ?? 0) & 2) !== 0;
}

/** What the log is, in words. */
function words(log: readonly Operation[]): string[] {
  return log
    .filter(({ kind }) => kind !== "read")
    .map(({ kind, offset, bytes }) => {
      if (kind === "flush") return "flush";
      if (offset === 0) return ((bytes?.[16] ?? 0) & 2) !== 0 ? "set" : "clear";
      return offset === CLUSTER ? "L1" : "write";
    });
}

async function openedWith(clock: SimulatedClock): Promise<{ file: ScriptedFile; graph: BlockGraph; disk: BlockNode }> {
  const { file, graph } = await scriptedImage(shape, clock);
  return { file, graph, disk: await graph.open(inMemory) };
}

describe("without a backing file", () => {
  test("the mark is on stable storage before the metadata changes, and goes 5 s after the last allocating write", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(10, 1));
    // Data, its cluster's end, the mark; the table, its end, flushed; the entry that leads to it.
    expect(words(file.log)).toEqual(["write", "set", "flush", "write", "write", "write", "flush", "L1"]);
    file.log.length = 0;
    await clock.advance(4000);
    await disk.write(CLUSTER, filled(10, 1));
    await clock.advance(4000);
    await disk.writeZeroes(2 * CLUSTER, CLUSTER);
    await clock.advance(4999);
    expect(isSet(file)).toBe(true);
    file.log.length = 0;
    await clock.advance(1);
    expect(words(file.log)).toEqual(["flush", "clear", "flush"]);
    expect(isSet(file)).toBe(false);
    expect(clock.timerCount).toBe(0);
    await graph[Symbol.asyncDispose]();
  });

  test("writes in place, reads and flushes do not set it", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(CLUSTER, 1));
    await clock.advance(5000);
    file.log.length = 0;
    await disk.write(0, filled(100, 2));
    await disk.flush();
    await disk.read(0, new Uint8Array(3 * CLUSTER));
    await disk.writeZeroes(0, CLUSTER);
    expect(words(file.log)).toEqual(["write", "flush", "write"]);
    expect(clock.timerCount).toBe(0);
    await graph[Symbol.asyncDispose]();
  });

  test("it is set again by the next allocating write", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(10, 1));
    await clock.advance(5000);
    expect(isSet(file)).toBe(false);
    await disk.write(CLUSTER, filled(10, 1));
    expect(isSet(file)).toBe(true);
    await graph[Symbol.asyncDispose]();
  });

  test("closing clears it at once, and nothing happens afterwards", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(10, 1));
    await disk[Symbol.asyncDispose]();
    expect(isSet(file)).toBe(false);
    expect(words(file.log).slice(-3)).toEqual(["flush", "clear", "flush"]);
    expect(clock.timerCount).toBe(0);
    const operations = file.log.length;
    await clock.advance(60_000);
    expect(file.log.length).toBe(operations);
    await graph[Symbol.asyncDispose]();
  });

  test("closing while the coroutine clears waits for it", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(10, 1));
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    file.script = ({ kind }) => (kind === "flush" ? held : undefined);
    await clock.advance(5000);
    let closed = false;
    const closing = disk[Symbol.asyncDispose]().then(() => (closed = true));
    await clock.advance(1);
    expect(closed).toBe(false);
    release();
    await closing;
    expect(isSet(file)).toBe(false);
    await graph[Symbol.asyncDispose]();
  });

  test("draining clears it; while drained nothing runs; afterwards the wait goes on", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(10, 1));
    {
      await using drained = await disk.drain();
      expect(isSet(file)).toBe(false);
      await drained.write(CLUSTER, filled(10, 1));
      expect(isSet(file)).toBe(true);
      await clock.advance(60_000);
      expect(isSet(file)).toBe(true);
    }
    await clock.advance(5000);
    expect(isSet(file)).toBe(false);
    await graph[Symbol.asyncDispose]();
  });

  test("allocating writes wait while it is cleared, reads and writes in place do not", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(10, 1));
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    file.script = ({ kind }) => (kind === "flush" ? held : undefined);
    await clock.advance(5000);
    const allocating = disk.write(CLUSTER, filled(10, 2));
    await disk.write(100, filled(10, 3));
    await disk.read(0, new Uint8Array(200));
    expect(isSet(file)).toBe(true);
    file.script = () => {};
    release();
    await allocating;
    expect(words(file.log).filter((word) => word === "clear" || word === "set")).toEqual(["set", "clear", "set"]);
    await graph[Symbol.asyncDispose]();
  });
});

describe("after a failure it stays", () => {
  test("of a metadata write", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(10, 1));
    file.script = ({ kind, length }) => {
      if (kind === "write" && length === 512) throw new Error("the disk is away");
    };
    await expect(disk.write(CLUSTER, filled(CLUSTER, 1))).rejects.toThrow("the disk is away");
    file.script = () => {};
    await clock.advance(60_000);
    expect(isSet(file)).toBe(true);
    await disk[Symbol.asyncDispose]();
    expect(isSet(file)).toBe(true);
    await graph[Symbol.asyncDispose]();
    await using again = new BlockGraph({ drivers: [file.entry, qedDriver] });
    await using reopened = await again.open(inMemory);
    expect(isSet(file)).toBe(false);
    const byte = new Uint8Array(1);
    await reopened.read(0, byte);
    expect(byte[0]).toBe(1);
  });

  test("of the clearing in the background, which the next flush and the close tell", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(10, 1));
    file.script = ({ kind }) => {
      if (kind === "flush") throw new Error("the disk is away");
    };
    await clock.advance(60_000);
    expect(isSet(file)).toBe(true);
    expect(clock.timerCount).toBe(0);
    await expect(disk.flush()).rejects.toThrow("the disk is away");
    await expect(disk[Symbol.asyncDispose]()).rejects.toThrow("the disk is away");
    expect(isSet(file)).toBe(true);
    await graph[Symbol.asyncDispose]();
  });

  test("of the header's write when closing: the close fails", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    await disk.write(0, filled(10, 1));
    file.script = ({ kind, offset }) => {
      if (kind === "write" && offset === 0) throw new Error("the disk is away");
    };
    await expect(disk[Symbol.asyncDispose]()).rejects.toThrow("the disk is away");
    expect(isSet(file)).toBe(true);
    await graph[Symbol.asyncDispose]().catch(() => {});
  });

  test("of setting it: no metadata is written, and the next write tries again", async () => {
    const clock = new SimulatedClock();
    const { file, graph, disk } = await openedWith(clock);
    file.script = ({ kind, offset }) => {
      if (kind === "write" && offset === 0) throw new Error("the disk is away");
    };
    await expect(disk.write(0, filled(10, 1))).rejects.toThrow("the disk is away");
    expect(words(file.log)).not.toContain("L1");
    file.script = () => {};
    await disk.write(0, filled(10, 1));
    expect(isSet(file)).toBe(true);
    await graph[Symbol.asyncDispose]();
  });
});

test("a read-only image writes nothing, marked or not", async () => {
  const { file, graph } = await scriptedImage(shape);
  file.content[16] = 2;
  file.content[32] = 0xff;
  await using disk = await graph.open(inMemory, { readOnly: true });
  await disk.read(0, new Uint8Array(100));
  expect(await disk.info()).toEqual({ clusterSize: CLUSTER, dirty: true });
  await disk.check({ repair: "none" });
  await disk[Symbol.asyncDispose]();
  expect(file.log.filter(({ kind }) => kind !== "read")).toEqual([]);
});

test("a marked image that is sound is flushed and cleared when it is opened for writing", async () => {
  const { file, graph } = await scriptedImage(shape);
  file.content[16] = 2;
  await using disk = await graph.open(inMemory);
  expect(words(file.log)).toEqual(["set", "flush", "clear", "flush"]);
  expect(await disk.info()).toEqual({ clusterSize: CLUSTER, dirty: false });
});
