/** Bitmaps that are damaged or do not fit: refused with their place, never loaded in part, and never given up with what is not theirs. */

import { readFileSync } from "node:fs";
import { type BlockNode, BlockError } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { expectClean, hostGraph, patch, qemuBitmaps, qemuCreate, qemuDirty, qemuImg, qemuIo, TemporaryDirectory } from "../test/images.ts";

const MIB = 2 ** 20;
const EXTENSION = Buffer.from("2385287500000018", "hex");

interface Places {
  readonly directory: number;
  readonly table: number;
  readonly l2: number;
}

function placesOf(bytes: Buffer): Places {
  const directory = Number(bytes.readBigUInt64BE(bytes.indexOf(EXTENSION) + 24));
  const l1 = Number(bytes.readBigUInt64BE(40));
  return { directory, table: Number(bytes.readBigUInt64BE(directory)), l2: Number(bytes.readBigUInt64BE(l1) % 2n ** 56n) };
}

function entryAt(bytes: Buffer, at: number): bigint {
  return bytes.readBigUInt64BE(at) % 2n ** 56n;
}

/** The first L2 table of the only snapshot. */
function snapshotL2(bytes: Buffer): number {
  const l1 = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(64))));
  return Number(entryAt(bytes, l1));
}

/** An image with a bitmap whose bits take two clusters, and a second one. */
function damaged(folder: TemporaryDirectory, change: (bytes: Buffer, places: Places) => unknown): string {
  const file = qemuCreate(folder.file("image"), 4 * MIB, "cluster_size=512");
  qemuImg("bitmap", "--add", "-g", "512", file, "nightly");
  qemuIo(file, "write 0 1024", "write 3M 1024");
  qemuImg("bitmap", "--add", "--disable", file, "other");
  patch(file, (bytes) => void change(bytes, placesOf(bytes)));
  return file;
}

async function failureOf(attempt: () => Promise<unknown>): Promise<BlockError> {
  try {
    await attempt();
  } catch (error) {
    if (error instanceof BlockError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

async function use<T>(file: string, work: (disk: BlockNode) => Promise<T>, readOnly = false): Promise<T> {
  await using graph = hostGraph();
  await using disk = await graph.open({ driver: "qcow2", file: { driver: "file", filename: file }, readOnly });
  return await work(disk);
}

describe("damaged bitmaps", () => {
  it.each<[what: string, change: (bytes: Buffer, places: Places) => unknown, message: RegExp]>([
    ["a table with reserved bits", (bytes, { table }) => bytes.writeBigUInt64BE(2n, table), /entry 0 of the table of bitmap 'nightly'/],
    ["a table past the end", (bytes, { directory }) => bytes.writeBigUInt64BE(2n ** 40n, directory), /ends past the end of the file/],
    ["bits past the end", (bytes, { table }) => bytes.writeBigUInt64BE(2n ** 40n, table), /bits of bitmap 'nightly' .* past the end/],
    ["bits that are used twice", (bytes, { table }) => bytes.copy(bytes, table + 8, table, table + 8), /are those of another, too/],
    ["a table that is too short", (bytes, { directory }) => bytes.writeUInt32BE(1, directory + 8), /table of 1 entries, .* takes 2/],
    ["a table that is too long", (bytes, { directory }) => bytes.writeUInt32BE(3, directory + 8), /table of 3 entries, .* takes 2/],
    ["a bit for less than it says", (bytes, { directory }) => bytes.writeUInt8(10, directory + 17), /table of 2 entries, .* takes 1/],
  ])("%s: not opened for writing, and read all the same", async (_what, change, message) => {
    using folder = new TemporaryDirectory();
    const file = damaged(folder, change);
    const before = readFileSync(file);
    const refused = await failureOf(() => use(file, () => Promise.resolve()));
    expect(refused.code).toBe("CORRUPT_IMAGE");
    expect(refused.message).toMatch(message);
    expect(refused.message).toContain(file);
    await use(
      file,
      async (disk) => {
        await disk.read(0, Buffer.alloc(512));
        expect((await failureOf(() => disk.bitmaps.all())).message).toMatch(message);
      },
      true,
    );
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it.each(["cached", "none"] as const)(
    "with overlapCheck %s one that is inconsistent can be removed, but not what others have",
    async (overlapCheck) => {
      const marks: ((bytes: Buffer, places: Places) => unknown)[] = [
        (bytes, { table }) => bytes.writeBigUInt64BE(2n, table),
        (bytes, { table, l2 }) => bytes.writeBigUInt64BE(BigInt(l2), table),
        (bytes, { table }) => bytes.copy(bytes, table + 8, table, table + 8),
        (bytes, { directory }) => bytes.writeBigUInt64BE(2n ** 40n, directory),
        (bytes, { directory }) => bytes.writeBigUInt64BE(BigInt(directory), directory),
        (bytes, { directory, table }) => bytes.copy(bytes, table, directory + 32, directory + 40),
        (bytes, { table }) => bytes.writeBigUInt64BE(2n ** 40n, table),
      ];
      for (const mark of marks) {
        using folder = new TemporaryDirectory();
        const file = damaged(folder, (bytes, places) => {
          mark(bytes, places);
          bytes.writeUInt32BE(3, places.directory + 12);
        });
        {
          await using graph = hostGraph();
          await using disk = await graph.open({ driver: "qcow2", file, overlapCheck });
          await disk.bitmaps.remove("nightly");
          await disk.write(2 * MIB, Buffer.alloc(100_000, 7));
        }
        expect(qemuBitmaps(file).map(({ name }) => name)).toEqual(["other"]);
        expect(qemuDirty(file, "other")).toEqual([]);
        // Leaks at most.
        const { corruptions, "check-errors": errors } = JSON.parse(leakingCheck(file)) as Record<string, number>;
        expect({ corruptions: corruptions ?? 0, errors }).toEqual({ corruptions: 0, errors: 0 });
        qemuImg("check", "-q", "-r", "leaks", file);
        expectClean(file);
      }
    },
  );

  it.each<[owner: string, how: "removed" | "stored", entry: (bytes: Buffer) => bigint]>([
    ["the guest", "removed", (bytes) => entryAt(bytes, placesOf(bytes).l2)],
    ["the guest", "stored", (bytes) => entryAt(bytes, placesOf(bytes).l2)],
    ["a snapshot alone", "removed", (bytes) => entryAt(bytes, snapshotL2(bytes))],
    ["a snapshot alone", "stored", (bytes) => entryAt(bytes, snapshotL2(bytes))],
    ["a snapshot alone, a table", "removed", (bytes) => BigInt(snapshotL2(bytes))],
  ])("one with bits where %s has its only reference is %s, and takes nothing along", async (_owner, how, entry) => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), 4 * MIB, "cluster_size=512");
    qemuIo(file, "write -P 1 0 1024");
    qemuImg("snapshot", "-c", "one", file);
    qemuIo(file, "write -P 2 0 1024");
    qemuImg("bitmap", "--add", "-g", "512", file, "nightly");
    qemuIo(file, "write -P 3 3M 1024");
    patch(file, (bytes) => {
      const { table, directory } = placesOf(bytes);
      bytes.writeBigUInt64BE(entry(bytes), table);
      if (how === "removed") bytes.writeUInt32BE(3, directory + 12);
    });
    await use(file, async (disk) => {
      if (how === "removed") await disk.bitmaps.remove("nightly");
      await disk.write(2 * MIB, Buffer.alloc(100_000, 7));
      await disk.flush();
      await disk.write(MIB, Buffer.alloc(100_000, 8));
    });
    qemuIo(file, "read -P 2 0 1024", "read -P 3 3M 1024", "read -P 7 2M 100000", "read -P 8 1M 100000");
    const { corruptions, "check-errors": errors } = JSON.parse(leakingCheck(file)) as Record<string, number>;
    expect({ corruptions: corruptions ?? 0, errors }).toEqual({ corruptions: 0, errors: 0 });
    if (how === "stored") qemuImg("bitmap", "--remove", file, "nightly");
    qemuImg("snapshot", "-a", "one", file);
    qemuIo(file, "read -P 1 0 1024", "read -P 0 3M 1024");
  });

  it("take no more memory than the file has bytes, however large the disk is said to be", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), 2 ** 41, "cluster_size=64k");
    qemuImg("bitmap", "--add", "-g", "512", file, "huge");
    const before = process.memoryUsage().rss;
    await use(file, async (disk) => {
      await disk.write(2 ** 41 - 512, Buffer.alloc(512, 1));
      expect([...(await disk.bitmaps.get("huge")).extents()]).toEqual([{ offset: 2 ** 41 - 512, length: 512 }]);
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * MIB);
    expectClean(file);
    patch(file, (bytes) => {
      const { table } = placesOf(bytes);
      const bits = bytes.length;
      const one = Buffer.alloc(8);
      one.writeBigUInt64BE(BigInt(bits));
      for (let at = 0; at < 8192; at++) one.copy(bytes, table + at * 8);
      return Buffer.concat([bytes, Buffer.alloc(65_536, 0x55)]);
    });
    expect((await failureOf(() => use(file, () => Promise.resolve()))).message).toContain("are those of another, too");
  });
});

describe("bitmaps that cannot be kept", () => {
  const attempt = (file: string, name: string, granularity = 65_536): Promise<BlockError> =>
    use(file, (disk) => failureOf(() => disk.bitmaps.add({ name, granularity, persistent: true })));

  it("are refused when they are made, in QEMU's words", async () => {
    using folder = new TemporaryDirectory();
    const old = qemuCreate(folder.file("old"), MIB, "compat=0.10");
    expect((await attempt(old, "a")).message).toContain("Cannot store dirty bitmaps in qcow2 v2 files");
    const large = qemuCreate(folder.file("large"), 2 ** 41 + 512);
    expect((await attempt(large, "a", 512)).message).toContain("Too much space will be occupied by the bitmap. Use larger granularity");
    const file = qemuCreate(folder.file("file"), MIB);
    expect((await attempt(file, "n".repeat(1024))).message).toContain("Name length exceeds maximum (1023 characters)");
    expect((await attempt(file, "")).message).toBe("Bitmap name cannot be empty");
    // Both would be "\ufffd" on disk, twice in one directory; QEMU ends the third before its NUL.
    for (const name of ["\ud800", "\udc00", "a\0b"]) expect((await attempt(file, name)).message).toContain("Name is no text without NUL");
    expect((await attempt(file, "a", 256)).message).toContain("Granularity must be power of 2 and at least 512");
    const narrow = qemuCreate(folder.file("narrow"), MIB, "cluster_size=512");
    patch(narrow, (bytes) => {
      // An extension that nobody knows fills the header.
      bytes.writeUInt32BE(0x1234_5678, bytes.readUInt32BE(100));
      bytes.writeUInt32BE(512 - bytes.readUInt32BE(100) - 8, bytes.readUInt32BE(100) + 4);
    });
    expect((await attempt(narrow, "a")).message).toContain("the header, which is one cluster, has no room for bitmaps");
  });

  it("keep a disk from growing where they would take too much space", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), 2 ** 41);
    qemuImg("bitmap", "--add", "-g", "512", file, "fine");
    await use(file, async (disk) => {
      expect((await failureOf(() => disk.resize(2 ** 41 + 65_536))).message).toContain("bitmap 'fine' would take too much space");
      expect(disk.size).toBe(2 ** 41);
      await disk.bitmaps.remove("fine");
      await disk.resize(2 ** 41 + 65_536);
    });
    expectClean(file);
  });

  it("are not made twice, and others are not found", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), MIB);
    qemuImg("bitmap", "--add", file, "one");
    expect((await attempt(file, "one")).message).toBe("Bitmap already exists: one");
    await use(file, async (disk) => {
      expect((await failureOf(() => disk.bitmaps.remove("two"))).code).toBe("NOT_FOUND");
    });
    await use(
      file,
      async (disk) => {
        expect((await failureOf(() => disk.bitmaps.remove("one"))).code).toBe("READ_ONLY");
      },
      true,
    );
  });
});

function leakingCheck(file: string): string {
  try {
    return qemuImg("check", "--output=json", file);
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}
