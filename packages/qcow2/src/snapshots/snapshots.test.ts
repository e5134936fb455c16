import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { BlockError, type BlockNode } from "@coblock/core";
import { describe, expect, it } from "vitest";
import {
  contentOf,
  expectClean,
  hostGraph,
  qemuContent,
  qemuCreate,
  qemuImg,
  qemuImgRefusal,
  qemuIo,
  Seeded,
  TemporaryDirectory,
} from "../test/images.ts";

const KIB = 1024;

/** Formats that a snapshot must get along with; the size is that of the disk, bytes. */
const KINDS = [
  { options: "cluster_size=512", size: 512 * KIB },
  { options: "cluster_size=512,refcount_bits=64", size: 512 * KIB },
  { options: "cluster_size=1k,compat=0.10", size: 600 * KIB },
  { options: "cluster_size=4k,refcount_bits=2", size: 8192 * KIB },
  { options: "cluster_size=4k,refcount_bits=4", size: 8192 * KIB },
  { options: "cluster_size=8k,refcount_bits=8", size: 8192 * KIB },
  { options: "cluster_size=64k,refcount_bits=32", size: 16_384 * KIB },
  { options: "cluster_size=2M", size: 64 * 1024 * KIB },
  { options: "cluster_size=16k,extended_l2=on", size: 16_384 * KIB },
  { options: "cluster_size=16k,extended_l2=on,refcount_bits=4", size: 16_384 * KIB },
] as const;

/** IDs and names as `qemu-img snapshot -l` lists them. */
function listed(file: string): string[] {
  return qemuImg("snapshot", "-l", file)
    .split("\n")
    .slice(2)
    .filter((line) => line !== "")
    .map((line) => line.split(/\s+/).slice(0, 2).join(" "));
}

/** The content of a snapshot as QEMU has it: in a copy to which it is applied, for `-l` cuts a longer disk off. */
function contentOfSnapshot(file: string, name: string): Buffer {
  const copy = `${file}.applied`;
  qemuImg("convert", "-f", "raw", "-O", "raw", file, copy);
  qemuImg("snapshot", "-a", name, copy);
  const bytes = qemuContent(copy);
  rmSync(copy);
  return bytes;
}

async function withDisk<T>(file: string, work: (disk: BlockNode) => Promise<T>): Promise<T> {
  await using graph = hostGraph();
  await using disk = await graph.open(file);
  return await work(disk);
}

async function snapshotContent(file: string, selector: string | { readonly name: string }): Promise<Buffer> {
  await using graph = hostGraph();
  await using disk = await graph.open({ driver: "qcow2", file, snapshot: selector, readOnly: true });
  return await contentOf(disk);
}

describe("one snapshot", () => {
  it.each(KINDS)("$options: is made, read, applied and deleted, and QEMU agrees", async ({ options, size }) => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("a.qcow2"), size, options);
    await withDisk(file, async (disk) => {
      await disk.write(0, Buffer.alloc(size / 4, 1));
      await disk.writeCompressed(size / 2, Buffer.alloc(disk.compressionUnit ?? 512, 2));
      await disk.writeZeroes(1000, 5000);
      const before = await contentOf(disk);
      expect(await disk.snapshots.create("one")).toMatchObject({ id: "1", name: "one", vmStateSize: 0 });
      await disk.write(3000, Buffer.alloc(size / 8, 3));
      await disk.discard(size / 2, size / 4);
      const after = await contentOf(disk);
      await disk.flush();
      expect(after.equals(before)).toBe(false);
      await disk.snapshots.apply("one");
      expect((await contentOf(disk)).equals(before)).toBe(true);
      await disk.write(0, Buffer.alloc(100, 4));
      before.fill(4, 0, 100);
      expect((await contentOf(disk)).equals(before)).toBe(true);
    });
    expectClean(file);
    const now = await withDisk(file, contentOf);
    expect(qemuContent(file).equals(now)).toBe(true);
    expect((await snapshotContent(file, "one")).equals(qemuContent(file, "-l", "one"))).toBe(true);
    await withDisk(file, async (disk) => {
      expect(await disk.snapshots.delete("one")).toMatchObject({ id: "1" });
      expect((await contentOf(disk)).equals(now)).toBe(true);
      expect(disk.snapshots.list()).toEqual([]);
    });
    expectClean(file);
    expect(listed(file)).toEqual([]);
    expect(qemuContent(file).equals(now)).toBe(true);
  });

  it("lets clusters be written in place again when it is deleted", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("a.qcow2"), 2 ** 20);
    await withDisk(file, async (disk) => {
      await disk.write(0, Buffer.alloc(2 ** 17, 1));
      const [whole] = [...(await extents(disk))];
      await disk.snapshots.create("one");
      await disk.snapshots.delete("one");
      await disk.write(0, Buffer.alloc(2 ** 17, 2));
      expect([...(await extents(disk))][0]).toEqual(whole);
    });
    expectClean(file);
  });

  it("of a disk without bytes", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("a.qcow2"), 0);
    await withDisk(file, async (disk) => {
      await disk.snapshots.create("empty");
      await disk.snapshots.apply("empty");
    });
    expectClean(file);
    qemuImg("snapshot", "-a", "empty", file);
    await withDisk(file, (disk) => disk.snapshots.delete("empty"));
    expectClean(file);
  });
});

async function extents(disk: BlockNode): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const { kind, offset, length, location } of disk.extents())
    found.push({ kind, offset, length, childOffset: location?.offset });
  return found;
}

describe("names and IDs", () => {
  it("are QEMU's: IDs count up, names may repeat, an ID is looked for before a name", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("a.qcow2"), 2 ** 20);
    await withDisk(file, async (disk) => {
      const ids: string[] = [];
      for (const name of ["one", "one", "1", "", "grün"]) ids.push((await disk.snapshots.create(name)).id);
      expect(ids).toEqual(["1", "2", "3", "4", "5"]);
      expect((await disk.snapshots.delete("1")).name).toBe("one");
      expect((await disk.snapshots.delete("1")).id).toBe("3");
      expect((await disk.snapshots.delete({ name: "grün", id: "5" })).id).toBe("5");
      expect((await disk.snapshots.create("next")).id).toBe("5");
      await expect(disk.snapshots.delete("1")).rejects.toMatchObject({ code: "NOT_FOUND" });
      await expect(disk.snapshots.apply({ name: "one", id: "4" })).rejects.toMatchObject({ code: "NOT_FOUND" });
      await expect(disk.snapshots.create("x".repeat(256))).rejects.toMatchObject({ code: "INVALID_OPTION" });
    });
    expect(listed(file)).toEqual(["2 one", "4 0", "5 next"]);
    expectClean(file);
  });

  it("of others stay byte for byte, with extra data that is not understood", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("a.qcow2"), 2 ** 20);
    await withDisk(file, async (disk) => {
      await disk.snapshots.create("some");
      await disk.snapshots.create("name");
    });
    const odd = Buffer.from([0xff, 0xfe, 0x80, 0x41]);
    const extra = Buffer.from("what nobody knows");
    const image = readFileSync(file);
    const at = Number(image.readBigUInt64BE(64));
    const first = Buffer.from(image.subarray(at, at + 64));
    first.writeUInt32BE(24 + extra.length, 36);
    const entry = Buffer.concat([first, extra, Buffer.from("1"), odd]);
    const padded = Buffer.concat([entry, Buffer.alloc((8 - (entry.length % 8)) % 8)]);
    const second = Buffer.from(image.subarray(at + 72, at + 72 + 64 + 5));
    Buffer.concat([padded, second]).copy(image, at);
    writeFileSync(file, image);
    await withDisk(file, (disk) => disk.snapshots.create("third"));
    const after = readFileSync(file);
    const moved = Number(after.readBigUInt64BE(64));
    expect(moved).not.toBe(at);
    expect(after.subarray(moved, moved + padded.length + second.length)).toEqual(Buffer.concat([padded, second]));
    expectClean(file);
  });
});

describe("what cannot be", () => {
  it("refcounts without room are refused before anything is changed", async () => {
    using folder = new TemporaryDirectory();
    for (const [bits, fitting] of [
      [1, 0],
      [2, 2],
    ] as const) {
      const file = qemuCreate(folder.file(`${bits}`), 2 ** 20, `refcount_bits=${bits}`);
      qemuIo(file, "write 0 128k");
      await withDisk(file, async (disk) => {
        for (let index = 0; index < fitting; index++) await disk.snapshots.create("fits");
      });
      const before = readFileSync(file);
      await withDisk(file, async (disk) => {
        await expect(disk.snapshots.create("no")).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
      });
      expect(readFileSync(file).equals(before)).toBe(true);
      expectClean(file);
      expect(qemuImgRefusal("snapshot", "-c", "no", file)).toContain("Could not create snapshot");
    }
  });

  it("a data file, a disk that is open read-only, a snapshot that is written to", async () => {
    using folder = new TemporaryDirectory();
    const external = qemuCreate(folder.file("e"), 2 ** 20, `data_file=${folder.file("data")}`);
    await withDisk(external, async (disk) => {
      for (const work of [() => disk.snapshots.create("x"), () => disk.snapshots.apply("x"), () => disk.snapshots.delete("x")])
        await expect(work()).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" });
    });
    const file = qemuCreate(folder.file("a"), 2 ** 20);
    qemuImg("snapshot", "-c", "one", file);
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    await expect(disk.snapshots.create("x")).rejects.toMatchObject({ code: "READ_ONLY" });
    expect(disk.snapshots.list()).toHaveLength(1);
    await disk[Symbol.asyncDispose]();
    await expect(graph.open({ driver: "qcow2", file, snapshot: "one" })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(graph.open({ driver: "qcow2", file, snapshot: "two", readOnly: true })).rejects.toBeInstanceOf(BlockError);
  });
});

describe("a disk that was resized since", () => {
  it("gets its old size back, longer or shorter, also through a longer L1 table", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("a.qcow2"), 100 * KIB, "cluster_size=512");
    const random = new Seeded(1);
    const small = random.bytes(100 * KIB);
    const large = Buffer.concat([random.bytes(100 * KIB), Buffer.alloc(200 * KIB), random.bytes(200 * KIB)]);
    await withDisk(file, async (disk) => {
      await disk.write(0, small);
      await disk.snapshots.create("small");
      await disk.resize(large.length);
      await disk.write(0, large);
      await disk.snapshots.create("large");
      await disk.snapshots.apply("small");
      expect(disk.size).toBe(small.length);
      expect((await contentOf(disk)).equals(small)).toBe(true);
    });
    expectClean(file);
    expect(qemuContent(file).equals(small)).toBe(true);
    expect((await snapshotContent(file, "large")).equals(large)).toBe(true);
    expect(contentOfSnapshot(file, "large").equals(large)).toBe(true);
    await withDisk(file, async (disk) => {
      await disk.snapshots.apply("large");
      expect((await contentOf(disk)).equals(large)).toBe(true);
      await disk.resize(large.length + 50 * KIB);
      await disk.write(large.length, Buffer.alloc(50 * KIB, 1));
      await disk.snapshots.delete("large");
      await disk.snapshots.delete("small");
    });
    expectClean(file);
    expect(qemuContent(file).equals(Buffer.concat([large, Buffer.alloc(50 * KIB, 1)]))).toBe(true);
  });

  it("shows the backing file where the snapshot did", async () => {
    using folder = new TemporaryDirectory();
    const base = qemuCreate(folder.file("base"), 2 ** 20);
    qemuIo(base, "write -P 7 0 1M");
    const file = folder.file("a.qcow2");
    qemuImg("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", file, "512k");
    await withDisk(file, async (disk) => {
      await disk.write(1000, Buffer.alloc(1000, 1));
      await disk.snapshots.create("one");
      await disk.resize(2 ** 20);
      await disk.write(2 ** 18, Buffer.alloc(2 ** 18, 2));
      await disk.writeZeroes(0, 2 ** 18, { mayUnmap: true });
      await disk.snapshots.apply("one");
    });
    expectClean(file);
    const expected = Buffer.alloc(2 ** 19, 7).fill(1, 1000, 2000);
    expect(qemuContent(file).equals(expected)).toBe(true);
    expect((await snapshotContent(file, { name: "one" })).equals(expected)).toBe(true);
  });
});

it.each(["a\0b", "\ud800", "n".repeat(256)])("a name that QEMU would read as another is refused: %j", async (name) => {
  using folder = new TemporaryDirectory();
  await withDisk(qemuCreate(folder.file("a.qcow2"), 512 * KIB), async (disk) => {
    await expect(disk.snapshots.create(name)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    expect(disk.snapshots.list()).toEqual([]);
  });
});
