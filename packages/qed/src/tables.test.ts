import { assert, type BlockChild, type BlockGraph, CoMutex, type Mapping } from "@coblock/core";
import { describe, expect, test } from "vitest";

import { QedFile } from "./qed-file.ts";
import { QedTables } from "./tables.ts";
import { filled, inMemory, scriptedImage } from "./test/images.ts";
import type { ScriptedFile } from "./test/scripted-file.ts";

/** Clusters of 4 KiB and tables of two: 1024 entries, 4 MiB to a table. */
const CLUSTER = 4096;
const SPAN = 1024 * CLUSTER;
const L1 = CLUSTER;

interface Opened extends AsyncDisposable {
  readonly file: ScriptedFile;
  readonly child: BlockChild;
  readonly lock: CoMutex;
  readonly tables: QedTables;
}

/** The tables of an image that has the given entries; each L2 table named follows the one before in the file. */
async function opened(image: {
  readonly size?: number;
  readonly l2?: Readonly<Record<number, Readonly<Record<number, bigint>>>>;
  readonly extraClusters?: number;
  readonly cacheSize?: number;
}): Promise<Opened> {
  const { file, graph } = await scriptedImage({ size: image.size ?? 64 * 1024 * 1024 });
  let end = 3 * CLUSTER;
  const entries: [offset: number, value: bigint][] = [];
  for (const [l1Index, l2] of Object.entries(image.l2 ?? {})) {
    entries.push([L1 + Number(l1Index) * 8, BigInt(end)]);
    for (const [index, value] of Object.entries(l2)) entries.push([end + Number(index) * 8, value]);
    end += 2 * CLUSTER;
  }
  const content = new Uint8Array(end + (image.extraClusters ?? 0) * CLUSTER);
  content.set(file.content);
  const view = new DataView(content.buffer);
  for (const [offset, value] of entries) view.setBigUint64(offset, value, true);
  file.content = content;
  return openTables(file, graph, image.cacheSize);
}

async function openTables(file: ScriptedFile, graph: BlockGraph, cacheSize?: number): Promise<Opened> {
  const disk = await graph.open({ ...inMemory, readOnly: false });
  const child = disk.children.get("file");
  assert(child !== undefined, "a format has a file");
  const lock = new CoMutex("driver lock");
  const tables = await QedTables.read(await QedFile.read(child), lock, cacheSize);
  return { file, child, lock, tables, [Symbol.asyncDispose]: () => graph[Symbol.asyncDispose]() };
}

/** Asks until no miss is left. */
async function lookup({ tables, lock }: Opened, offset: number, length: number): Promise<Mapping> {
  for (;;) {
    const found = underLock(lock, () => tables.lookup(offset, length, "read"));
    if (found.kind !== "wait") return found;
    await found.until;
  }
}

function underLock<Result>(lock: CoMutex, section: () => Result): Result {
  using _held = lock.tryLock();
  return section();
}

/** A mapping without its child. */
function shown(mapping: Mapping): object {
  const { kind, length } = mapping;
  return mapping.kind === "data" ? { kind, length, childOffset: mapping.childOffset, writable: mapping.writable } : { kind, length };
}

describe("lookup", () => {
  test("joins neighbours of one kind, and stops where the kind, the order or the table changes", async () => {
    const at = (cluster: number): bigint => BigInt((5 + cluster) * CLUSTER);
    await using image = await opened({
      l2: { 0: { 2: 1n, 3: 1n, 4: at(0), 5: at(1), 6: at(3), 7: at(2), 1022: at(4), 1023: at(5) }, 1: { 0: at(6) } },
      extraClusters: 20,
    });
    const runs: [offset: number, length: number, expected: object][] = [
      [0, SPAN, { kind: "unallocated", length: 2 * CLUSTER }],
      [100, 8000, { kind: "unallocated", length: 8000 }],
      [100, 8093, { kind: "unallocated", length: 8092 }],
      [2 * CLUSTER + 1, SPAN, { kind: "zero", length: 2 * CLUSTER - 1 }],
      [4 * CLUSTER + 8, SPAN, { kind: "data", length: 2 * CLUSTER - 8, childOffset: 5 * CLUSTER + 8, writable: true }],
      [4 * CLUSTER, 1, { kind: "data", length: 1, childOffset: 5 * CLUSTER, writable: true }],
      [6 * CLUSTER, SPAN, { kind: "data", length: CLUSTER, childOffset: 8 * CLUSTER, writable: true }],
      [1022 * CLUSTER, SPAN, { kind: "data", length: 2 * CLUSTER, childOffset: 9 * CLUSTER, writable: true }],
      [SPAN, SPAN, { kind: "data", length: CLUSTER, childOffset: 11 * CLUSTER, writable: true }],
    ];
    for (const [offset, length, expected] of runs) expect(shown(await lookup(image, offset, length))).toEqual(expected);
  });

  test("joins several empty L1 entries", async () => {
    await using image = await opened({ l2: { 3: {} } });
    expect(shown(await lookup(image, 5, 10 * SPAN))).toEqual({ kind: "unallocated", length: 3 * SPAN - 5 });
    expect(shown(await lookup(image, SPAN, 100))).toEqual({ kind: "unallocated", length: 100 });
    expect(shown(await lookup(image, 4 * SPAN, 12 * SPAN))).toEqual({ kind: "unallocated", length: 12 * SPAN });
  });

  test("offsets beyond 32 bits, in the guest and in the file", async () => {
    await using image = await opened({ size: 2 ** 32, l2: { 1023: { 1023: 5n * 4096n } }, extraClusters: 2 });
    expect(shown(await lookup(image, 2 ** 32 - 10, 10))).toEqual({
      kind: "data",
      length: 10,
      childOffset: 6 * CLUSTER - 10,
      writable: true,
    });
    expect(shown(await lookup(image, 0, 2 ** 32 - 1))).toEqual({ kind: "unallocated", length: 1023 * SPAN });
  });

  test.each<[what: string, entry: bigint, words: string]>([
    ["unaligned", 5n * 4096n + 8n, "0x5008, which is not aligned"],
    ["the value 2", 2n, "0x2, which is not aligned"],
    ["past the end", 8n * 4096n, "0x8000, past the end of the file at 0x8000"],
    ["above 2^53", 0xffff_ffff_ffff_f000n, "0xfffffffffffff000, past the end"],
    ["with its highest bit set", 0x8000_0000_0000_5000n, "0x8000000000005000, past the end"],
    ["in bit 32", 0x1_0000_5000n, "0x100005000, past the end"],
  ])("an L2 entry %s is an error that names its place", async (_what, entry, words) => {
    await using image = await opened({ l2: { 0: {}, 1: { 3: entry } }, extraClusters: 1 });
    const looking = lookup(image, SPAN + 3 * CLUSTER + 5, 1);
    await expect(looking).rejects.toMatchObject({ code: "CORRUPT_IMAGE", offset: SPAN + 3 * CLUSTER + 5 });
    await expect(looking).rejects.toThrow(`L2 entry 3 (L1 entry 1) at 0x5018 points to ${words}`);
  });

  test.each<[what: string, entry: bigint, words: string]>([
    ["unaligned", 3n * 4096n + 512n, "not aligned"],
    ["the value 1", 1n, "0x1, which is not aligned"],
    ["whose table ends past the end", 4n * 4096n, "0x4000, past the end of the file at 0x5000"],
    ["above 2^53", 0xffff_ffff_ffff_f000n, "past the end"],
  ])("an L1 entry %s is an error that names its place", async (_what, entry, words) => {
    const image = await opened({ l2: { 0: {} } });
    new DataView(image.file.content.buffer).setBigUint64(L1 + 8, entry, true);
    using held = image.lock.tryLock();
    await image.tables.reload(64 * 1024 * 1024);
    held?.[Symbol.dispose]();
    await expect(lookup(image, SPAN, 1)).rejects.toThrow(`L1 entry 1 at 0x1008 points to 0x`);
    await expect(lookup(image, SPAN, 1)).rejects.toThrow(words);
    expect(shown(await lookup(image, 0, 1))).toEqual({ kind: "unallocated", length: 1 });
    await image[Symbol.asyncDispose]();
  });

  test("a cluster that the file holds in part is none of its clusters", async () => {
    await using image = await opened({ l2: { 0: { 0: 5n * 4096n, 1: 6n * 4096n } }, extraClusters: 1 });
    image.file.content = image.file.content.slice(0, -1);
    const reopened = await QedTables.read(await QedFile.read(image.child), image.lock, undefined);
    expect(() => underLock(image.lock, () => reopened.lookup(0, 1, "read"))).toThrow("past the end");
  });
});

describe("the cache of L2 tables", () => {
  test("misses of one table share one read, and a failed read leaves nothing behind", async () => {
    await using image = await opened({ l2: { 0: { 0: 1n } } });
    let fail = true;
    image.file.script = async ({ kind }) => {
      if (kind === "read" && fail) throw new Error("the disk is away");
    };
    const first = underLock(image.lock, () => image.tables.lookup(0, 1, "read"));
    const second = underLock(image.lock, () => image.tables.lookup(CLUSTER, 1, "read"));
    assert(first.kind === "wait" && second.kind === "wait", "misses wait");
    await expect(first.until).rejects.toThrow("the disk is away");
    await expect(second.until).rejects.toThrow("the disk is away");
    fail = false;
    image.file.log.length = 0;
    expect(shown(await lookup(image, 0, 1))).toEqual({ kind: "zero", length: 1 });
    expect(image.file.log.map(({ kind }) => kind)).toEqual(["read"]);
  });

  /** QEMU, "qed: do not evict in-use L2 table cache entries". */
  test("a table whose write is in flight is not read again, however small the cache", async () => {
    await using image = await opened({ l2: { 0: {}, 1: {}, 2: {} }, extraClusters: 4, cacheSize: 0 });
    await lookup(image, 0, 1);
    const { promise: written, resolve: finish } = deferred();
    image.file.script = ({ kind }) => (kind === "write" ? written : undefined);
    const publishing = image.lock.lock().then(async (held) => {
      using _held = held;
      await image.tables.publish({ offset: 0, length: CLUSTER, first: 9 * CLUSTER });
    });
    await Promise.resolve();
    const others = [SPAN, 2 * SPAN, 0].map((offset) => lookupWaiting(image, offset));
    finish();
    await publishing;
    expect((await Promise.all(others)).map(shown)).toEqual([
      { kind: "unallocated", length: 1 },
      { kind: "unallocated", length: 1 },
      { kind: "data", length: 1, childOffset: 9 * CLUSTER, writable: true },
    ]);
  });

  test("a write that fails leaves memory as it was, and the next one writes what belongs there", async () => {
    await using image = await opened({ l2: { 0: { 0: 1n } }, extraClusters: 4 });
    image.file.script = ({ kind }) => {
      if (kind === "write") throw new Error("the disk is away");
    };
    await expect(publish(image, { offset: CLUSTER, length: CLUSTER, first: 5 * CLUSTER })).rejects.toThrow("the disk is away");
    expect(shown(await lookup(image, CLUSTER, 1))).toEqual({ kind: "unallocated", length: 1 });
    image.file.script = () => {};
    await publish(image, { offset: 2 * CLUSTER, length: CLUSTER, first: 6 * CLUSTER });
    const l2 = new DataView(image.file.content.buffer, 3 * CLUSTER);
    expect([0, 1, 2].map((index) => Number(l2.getBigUint64(index * 8, true)))).toEqual([1, 0, 6 * CLUSTER]);
  });

  test("a write that fails, and reached the disk all the same, is known", async () => {
    await using image = await opened({ l2: { 0: { 0: 1n } }, extraClusters: 4 });
    image.file.script = ({ kind, offset, bytes }) => {
      if (kind !== "write" || bytes === undefined) return;
      image.file.content.set(bytes, offset);
      throw new Error("nobody heard it");
    };
    await expect(publish(image, { offset: CLUSTER, length: CLUSTER, first: 5 * CLUSTER })).rejects.toThrow("nobody heard it");
    expect(shown(await lookup(image, CLUSTER, 1))).toMatchObject({ kind: "data", childOffset: 5 * CLUSTER });
  });

  test("an L1 entry that fails, and reached the disk all the same, is known", async () => {
    await using image = await opened({ size: 2 * SPAN, l2: {} });
    image.file.script = ({ kind, offset, bytes }) => {
      if (kind !== "write" || offset !== L1 || bytes === undefined) return;
      image.file.content.set(bytes, offset);
      throw new Error("nobody heard it");
    };
    await expect(publish(image, { offset: SPAN, length: CLUSTER, first: 1 })).rejects.toThrow("nobody heard it");
    expect(shown(await lookup(image, SPAN, 1))).toEqual({ kind: "zero", length: 1 });
  });

  test("an L1 table that can be neither written nor read is asked for again", async () => {
    await using image = await opened({ size: 2 * SPAN, l2: {} });
    image.file.script = ({ kind, offset }) => {
      if (kind !== "flush" && offset === L1) throw new Error(`no ${kind}`);
    };
    await expect(publish(image, { offset: SPAN, length: CLUSTER, first: 1 })).rejects.toThrow("no write");
    await expect(lookup(image, SPAN, 1)).rejects.toThrow("no read");
    await expect(publish(image, { offset: SPAN, length: CLUSTER, first: 1 })).rejects.toThrow("no read");
    image.file.script = () => {};
    expect(shown(await lookup(image, SPAN, 1))).toEqual({ kind: "unallocated", length: 1 });
    await publish(image, { offset: SPAN, length: CLUSTER, first: 1 });
    expect(shown(await lookup(image, SPAN, 1))).toEqual({ kind: "zero", length: 1 });
  });
});

describe("publish", () => {
  test("writes the touched sectors of a table that is there, and nothing else", async () => {
    await using image = await opened({ l2: { 0: {} }, extraClusters: 300 });
    await publish(image, { offset: 60 * CLUSTER, length: 70 * CLUSTER, first: 5 * CLUSTER });
    expect(image.file.log.slice(-1)).toMatchObject([{ kind: "write", offset: 3 * CLUSTER, length: 3 * 512 }]);
    expect(image.file.writes().length).toBe(1);
  });

  test("a new table is whole and flushed before its L1 entry", async () => {
    await using image = await opened({ size: 5 * SPAN, l2: {}, extraClusters: 0 });
    await publish(image, { offset: 4 * SPAN + 8 * CLUSTER, length: CLUSTER, first: 1 });
    expect(image.file.log.filter(({ kind }) => kind !== "read").map(({ kind, offset, length }) => [kind, offset, length])).toEqual([
      ["write", 3 * CLUSTER, 2 * CLUSTER],
      ["flush", 0, 0],
      ["write", L1, 512],
    ]);
    expect(shown(await lookup(image, 4 * SPAN + 8 * CLUSTER, SPAN))).toEqual({ kind: "zero", length: CLUSTER });
  });

  test("of a table larger than the image only the used part is written, and the file reaches its end", async () => {
    await using image = await opened({ size: 100 * CLUSTER });
    await publish(image, { offset: 0, length: CLUSTER, first: 1 });
    expect(image.file.writes().map(({ offset, length }) => [offset, length])).toEqual([
      [3 * CLUSTER, 1024],
      [5 * CLUSTER - 512, 512],
      [L1, 512],
    ]);
  });

  test("never over an entry that leads somewhere", async () => {
    await using image = await opened({ l2: { 0: { 1: 5n * 4096n } }, extraClusters: 1 });
    await expect(publish(image, { offset: 0, length: 2 * CLUSTER, first: 1 })).rejects.toThrow(
      "entry 1 of the table at 0x3000 leads somewhere already",
    );
    expect(image.file.writes()).toEqual([]);
  });
});

describe("append", () => {
  test("starts with the whole clusters of the file; what is behind them becomes zero and is flushed", async () => {
    const { file, graph } = await scriptedImage({ size: SPAN });
    file.content = Uint8Array.from([...file.content, ...filled(100, 9)]);
    await using image = await openTables(file, graph);
    using _held = image.lock.tryLock();
    file.log.length = 0;
    expect(await image.tables.append(2)).toBe(3 * CLUSTER);
    expect(await image.tables.append(1)).toBe(5 * CLUSTER);
    expect(file.log.map(({ kind, offset, length }) => [kind, offset, length])).toEqual([
      ["write", 3 * CLUSTER, 100],
      ["flush", 0, 0],
    ]);
    expect(file.content.subarray(3 * CLUSTER).every((byte) => byte === 0)).toBe(true);
  });

  test("says so where the file cannot grow", async () => {
    const { file, graph } = await scriptedImage({ size: SPAN });
    file.growable = false;
    await using image = await openTables(file, graph);
    using _held = image.lock.tryLock();
    await expect(image.tables.append(1)).rejects.toMatchObject({ code: "NO_SPACE" });
  });
});

async function publish({ tables, lock }: Opened, mapping: Parameters<QedTables["publish"]>[0]): Promise<void> {
  using _held = await lock.lock();
  await tables.publish(mapping);
}

async function lookupWaiting(image: Opened, offset: number): Promise<Mapping> {
  for (;;) {
    using held = await image.lock.lock();
    const found = image.tables.lookup(offset, 1, "read");
    if (found.kind !== "wait") return found;
    held[Symbol.dispose]();
    await found.until;
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
