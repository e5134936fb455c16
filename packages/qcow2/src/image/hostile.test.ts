import { readFileSync } from "node:fs";
import { BlockError, type BlockNode } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { hostGraph, patch, places, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "../test/images.ts";

const COPIED = 2n ** 63n;

/** An image with data, zeros and a hole in its first L2 table, damaged. */
function damaged(
  folder: TemporaryDirectory,
  change: (bytes: Buffer, at: ReturnType<typeof places>) => void,
  options = "cluster_size=4096",
): string {
  const file = qemuCreate(folder.file("image"), "4M", options);
  qemuIo(file, "write -P 1 0 40k", "write -P 2 3M 4k");
  patch(file, (bytes) => {
    change(bytes, places(bytes));
    return undefined;
  });
  return file;
}

async function failureOf(work: Promise<unknown>): Promise<BlockError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof BlockError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

const SECTOR = new Uint8Array(512).fill(7);

describe("damaged tables: reads fail where the damage is, and say what", () => {
  const cases: [what: string, change: (bytes: Buffer, at: ReturnType<typeof places>) => void, message: string][] = [
    ["an L1 entry with reserved bits", (bytes, { l1 }) => bytes.writeUInt8(0x41, l1), "L1 entry 0 is 0x41"],
    [
      "an L1 entry that is not aligned",
      (bytes, { l1, l2 }) => bytes.writeBigUInt64BE(COPIED + BigInt(l2 + 512), l1),
      "no place of an L2 table",
    ],
    [
      "an L2 table past the end of the file",
      (bytes, { l1 }) => bytes.writeBigUInt64BE(COPIED + 0x4000_0000n, l1),
      "an L2 table at offset 0x40000000 is 4096 bytes long and ends past the end",
    ],
    ["an L2 table past 8 PiB", (bytes, { l1 }) => bytes.writeBigUInt64BE(COPIED + 2n ** 55n, l1), "L1 entry 0 is 0x8080000000000000"],
    [
      "an L2 entry with reserved bits",
      (bytes, { l2 }) => bytes.writeBigUInt64BE(COPIED + 0x5002n, l2),
      "L2 entry 0 of L1 entry 0 at offset",
    ],
    [
      "an L2 entry that is not aligned",
      (bytes, { l2 }) => bytes.writeBigUInt64BE(COPIED + 0x5200n, l2),
      "0x8000000000005200: the offset is not aligned",
    ],
    ["space for zeros that is not aligned", (bytes, { l2 }) => bytes.writeBigUInt64BE(COPIED + 0x5201n, l2), "the offset is not aligned"],
    ["a cluster past 8 PiB", (bytes, { l2 }) => bytes.writeBigUInt64BE(COPIED + 2n ** 54n, l2), "the cluster is past 8 PiB"],
    [
      "a compressed cluster past 8 PiB",
      (bytes, { l2 }) => bytes.writeBigUInt64BE(2n ** 62n + 2n ** 54n, l2),
      "the compressed cluster is past 8 PiB",
    ],
  ];
  it.each(cases)("%s", async (_what, change, message) => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, change);
    const before = readFileSync(file);
    await using graph = hostGraph();
    await using disk = await graph.open(file);
    for (const attempt of [disk.read(0, new Uint8Array(512)), disk.write(0, SECTOR)]) {
      const error = await failureOf(attempt);
      expect(error.code).toBe("CORRUPT_IMAGE");
      expect(error.message).toContain(message);
      expect(error.node).toBe(disk.name);
    }
    await disk.read(3 * 2 ** 20, new Uint8Array(512));
    expect(readFileSync(file).subarray(0, before.length).equals(before)).toBe(true);
  });

  it("a zero flag in version 2", async () => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes, { l2 }) => bytes.writeBigUInt64BE(1n, l2), "compat=0.10");
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    expect((await failureOf(disk.read(0, new Uint8Array(1)))).message).toContain("reserved bits");
  });

  it.each([
    ["both data and zero", 0x0000_0001_ffff_ffffn, undefined, "both data and zero"],
    ["data without a host cluster", 1n, 0n, "no host cluster"],
  ])("a subcluster that is %s", async (_what, bitmap, entry, message) => {
    using folder = new TemporaryDirectory();
    const change = (bytes: Buffer, { l2 }: { readonly l2: number }): void => {
      bytes.writeBigUInt64BE(bitmap, l2 + 8);
      if (entry !== undefined) bytes.writeBigUInt64BE(entry, l2);
    };
    const file = damaged(folder, change, "extended_l2=on,cluster_size=16k");
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    expect((await failureOf(disk.read(0, new Uint8Array(1)))).message).toContain(message);
    await disk.read(16_384, new Uint8Array(1));
  });

  it("data past the end of the file reads as zeros", async () => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes, { l2 }) => bytes.writeBigUInt64BE(COPIED + 0x4000_0000n, l2));
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    const bytes = Buffer.alloc(4096, 9);
    await disk.read(0, bytes);
    expect(bytes.equals(Buffer.alloc(4096))).toBe(true);
  });
});

describe("metadata that would be written over: the write is refused, the image is marked, all I/O fails", () => {
  async function expectStopped(file: string, attempt: (disk: BlockNode) => Promise<unknown>, message: string): Promise<void> {
    const before = readFileSync(file);
    await using graph = hostGraph();
    const disk = await graph.open(file);
    expect((await failureOf(attempt(disk))).message).toContain(message);
    expect((await failureOf(disk.read(3 * 2 ** 20, new Uint8Array(512)))).message).toContain(message);
    // What was not flushed is lost, and closing says so.
    expect((await failureOf(disk[Symbol.asyncDispose]())).message).toContain(message);
    const after = readFileSync(file);
    expect(after.readBigUInt64BE(72)).toBe(2n);
    after.writeBigUInt64BE(0n, 72);
    expect(after.subarray(0, before.length).equals(before)).toBe(true);
    expect((await failureOf(graph.open(file))).message).toContain("marked as corrupt");
    await using readable = await graph.open(file, { readOnly: true });
    expect((await readable.info()).corrupt).toBe(true);
  }

  const targets: [what: string, offset: (at: ReturnType<typeof places>) => number, kind: string][] = [
    ["the L1 table", ({ l1 }) => l1, "active L1 table"],
    ["an L2 table", ({ l2 }) => l2, "active L2 table"],
    ["the refcount table", ({ refcountTable }) => refcountTable, "refcount table"],
    ["a refcount block", ({ refcountBlock }) => refcountBlock, "refcount block"],
  ];
  it.each(targets)("by data that is mapped over %s", async (_what, offset, kind) => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes, at) => bytes.writeBigUInt64BE(COPIED + BigInt(offset(at)), at.l2));
    await expectStopped(file, (disk) => disk.write(0, SECTOR), `over the ${kind}`);
  });

  it.each(targets)("by data for a cluster that reads as zeros and has space over %s", async (_what, offset, kind) => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes, at) => bytes.writeBigUInt64BE(COPIED + BigInt(offset(at)) + 1n, at.l2));
    await expectStopped(file, (disk) => disk.write(0, SECTOR), `over the ${kind}`);
  });

  it.each([
    ["the header", 0, "header"],
    ["the L1 table", 3, "active L1 table"],
    ["an L2 table", 4, "active L2 table"],
  ])("by new clusters, where the refcounts call %s free", async (_what, cluster, kind) => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes, { refcountBlock }) => bytes.writeUInt16BE(0, refcountBlock + cluster * 2));
    await expectStopped(file, (disk) => disk.write(2 ** 20, SECTOR), `but the ${kind} is there`);
  });

  it("by a refcount that falls below zero", async () => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes, { refcountBlock, l2 }) => {
      const cluster = Number(bytes.readBigUInt64BE(l2) % 2n ** 56n) / 4096;
      bytes.writeUInt16BE(0, refcountBlock + cluster * 2);
    });
    const attempt = async (disk: BlockNode): Promise<void> => {
      await disk.discard(0, 4096);
      await disk.flush();
    };
    await using graph = hostGraph();
    const disk = await graph.open(file);
    expect((await failureOf(attempt(disk))).message).toContain("has refcount 0");
    expect((await failureOf(disk[Symbol.asyncDispose]())).message).toContain("has refcount 0");
    expect(readFileSync(file).readBigUInt64BE(72)).toBe(2n);
  });

  it.each([
    ["reserved bits", (bytes: Buffer, at: number) => bytes.writeBigUInt64BE(bytes.readBigUInt64BE(at) + 1n, at)],
    ["an offset that is not aligned", (bytes: Buffer, at: number) => bytes.writeBigUInt64BE(bytes.readBigUInt64BE(at) + 512n, at)],
    ["an offset past the end of the file", (bytes: Buffer, at: number) => bytes.writeBigUInt64BE(2n ** 40n, at)],
  ])("a refcount table with %s fails writes and leaves reads alone", async (_what, change) => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes, { refcountTable }) => change(bytes, refcountTable));
    await using graph = hostGraph();
    await using disk = await graph.open(file);
    expect((await failureOf(disk.write(2 ** 20, SECTOR))).code).toBe("CORRUPT_IMAGE");
    await disk.read(0, new Uint8Array(512));
  });
});

describe("images that are not opened, or not for writing", () => {
  it("one that says it is corrupt", async () => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes) => bytes.writeBigUInt64BE(2n, 72));
    await using graph = hostGraph();
    expect((await failureOf(graph.open(file))).message).toContain("marked as corrupt");
    await using disk = await graph.open(file, { readOnly: true });
    await disk.read(0, new Uint8Array(512));
    expect(await disk.info()).toMatchObject({ dirty: false, corrupt: true });
  });

  it("an encrypted one can tell of itself, and nothing else without a secret", async () => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes) => bytes.writeUInt32BE(1, 32));
    await using graph = hostGraph();
    expect((await failureOf(graph.open(file))).message).toContain("legacy encryption 'aes'");
    await using disk = await graph.open(file, { readOnly: true });
    expect((await disk.info()).encrypted).toBe(true);
    expect(await failureOf(disk.read(0, new Uint8Array(1)))).toMatchObject({ code: "INVALID_OPTION" });
  });

  it("names features that it does not know", async () => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes) => bytes.writeBigUInt64BE(2n ** 9n, 72), "");
    await using graph = hostGraph();
    expect((await failureOf(graph.open(file, { readOnly: true }))).message).toContain("unknown incompatible feature bit 9");
  });

  it.each([
    ["L1 table", 40, "the L1 table at offset 0x100000000 is 8 bytes long and ends past the end of the file"],
    ["refcount table", 48, "the refcount table at offset 0x100000000"],
  ])("one whose %s is past the end of the file", async (_what, at, message) => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, (bytes) => bytes.writeBigUInt64BE(2n ** 32n, at), "cluster_size=8k");
    await using graph = hostGraph();
    expect((await failureOf(graph.open(file))).message).toContain(message);
  });

  it.each([
    ["more snapshots than entries", (bytes: Buffer) => bytes.writeUInt32BE(9, 60), "table of 9 snapshots"],
    ["a snapshot table past the end", (bytes: Buffer) => bytes.writeBigUInt64BE(2n ** 40n, 64), "ends past the end of the file"],
  ])("one with %s", async (_what, change, message) => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), "4M");
    qemuImg("snapshot", "-c", "one", file);
    patch(file, (bytes) => {
      change(bytes);
      return undefined;
    });
    await using graph = hostGraph();
    expect((await failureOf(graph.open(file, { readOnly: true }))).message).toContain(message);
  });

  it("whatever the header says, it is opened or refused with a reason, at once", async () => {
    using folder = new TemporaryDirectory();
    const sound = readFileSync(damaged(folder, () => {}));
    const random = new Seeded(77);
    await using graph = hostGraph();
    let refused = 0;
    for (let round = 0; round < 600; round++) {
      const bytes = Buffer.from(sound);
      for (let change = random.below(3); change >= 0; change--)
        bytes[8 + random.below(random.pick([64, 104, 300]))] = random.pick([0, 1, 2, 127, 128, 255, random.below(256)]);
      const readOnly = random.once(2);
      try {
        await using disk = await graph.open({ driver: "qcow2", file: { driver: "memory", bytes }, backing: null, readOnly });
        await disk.info();
        if (disk.size > 0) await disk.read(0, new Uint8Array(Math.min(disk.size, 5000)));
        if (disk.size > 0 && !readOnly) await disk.write(disk.size - 512, SECTOR);
      } catch (error) {
        expect(error).toBeInstanceOf(BlockError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(50);
  });
});
