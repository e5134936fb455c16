/** Persistent bitmaps as both tools keep them: what one wrote the other reads, and each goes on where the other stopped. */

import { readFileSync } from "node:fs";
import type { BlockNode, DirtyExtent } from "@coblock/core";
import { describe, expect, it } from "vitest";
import {
  expectClean,
  hostGraph,
  patch,
  qemuBitmaps,
  qemuCreate,
  qemuDirty,
  qemuImg,
  qemuIo,
  Seeded,
  TemporaryDirectory,
} from "../test/images.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

async function use<T>(file: string, work: (disk: BlockNode) => Promise<T>, readOnly = false): Promise<T> {
  await using graph = hostGraph();
  await using disk = await graph.open({ driver: "qcow2", file: { driver: "file", filename: file }, readOnly });
  return await work(disk);
}

function dirty(file: string, name: string): Promise<DirtyExtent[]> {
  return use(file, async (disk) => [...(await disk.bitmaps.get(name)).extents()], true);
}

/** Granules of a disk that were touched. */
class Model {
  readonly #granularity: number;
  readonly #touched = new Set<number>();
  size: number;

  constructor(size: number, granularity: number) {
    this.size = size;
    this.#granularity = granularity;
  }

  touch(offset: number, length: number): void {
    for (let at = Math.floor(offset / this.#granularity); at * this.#granularity < offset + length; at++) this.#touched.add(at);
  }

  get extents(): DirtyExtent[] {
    const extents: { offset: number; length: number }[] = [];
    for (const granule of [...this.#touched].sort((a, b) => a - b)) {
      const offset = granule * this.#granularity;
      const length = Math.min(this.#granularity, this.size - offset);
      const last = extents.at(-1);
      if (last !== undefined && last.offset + last.length === offset) last.length += length;
      else extents.push({ offset, length });
    }
    return extents;
  }
}

describe("bitmaps beside QEMU", () => {
  it.each([
    { options: "cluster_size=512", granularity: 512, size: 5 * MIB + 512 },
    { options: "cluster_size=4k,refcount_bits=1", granularity: 512, size: 40 * MIB },
    { options: "cluster_size=64k", granularity: 4096, size: 33 * MIB },
    { options: "cluster_size=2M", granularity: 2 * MIB, size: 63 * MIB + 512 },
    { options: "cluster_size=16k,extended_l2=on", granularity: 65_536, size: 32 * MIB },
  ])("$options, a bit for $granularity bytes: both follow, in turns", async ({ options, granularity, size }) => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), size, options);
    qemuImg("bitmap", "--add", "-g", String(granularity), file, "first");
    qemuImg("bitmap", "--add", "--disable", "-g", String(granularity), file, "still");
    const random = new Seeded(granularity);
    const model = new Model(size, granularity);
    for (let round = 0; round < 4; round++) {
      await use(file, async (disk) => {
        for (let count = 0; count < 6; count++) {
          const length = 1 + random.below(random.pick([100, 9000, 3 * MIB]));
          const offset = random.below(size - length);
          if (random.once(3)) await disk.writeZeroes(offset, length, { mayUnmap: random.once(2) });
          else await disk.write(offset, random.bytes(length));
          model.touch(offset, length);
        }
      });
      expectClean(file);
      expect(qemuDirty(file, "first")).toEqual(model.extents);
      const sector = random.below(Math.floor(size / 512));
      qemuIo(file, `write ${sector * 512} 512`);
      model.touch(sector * 512, 512);
      expect(await dirty(file, "first")).toEqual(model.extents);
    }
    expect(qemuDirty(file, "still")).toEqual([]);
    expect(qemuBitmaps(file)).toEqual([
      { name: "first", flags: ["auto"], granularity },
      { name: "still", flags: [], granularity },
    ]);
  });

  it("a bitmap that is all set takes no room for its bits", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), 16 * MIB, "cluster_size=512,preallocation=metadata");
    await use(file, async (disk) => {
      await disk.bitmaps.add({ name: "all", granularity: 512, persistent: true });
      await disk.bitmaps.add({ name: "none", granularity: 512, persistent: true, enabled: false });
      await disk.writeZeroes(0, 16 * MIB);
    });
    expectClean(file);
    expect(qemuDirty(file, "all")).toEqual([{ offset: 0, length: 16 * MIB }]);
    expect(qemuDirty(file, "none")).toEqual([]);
    await use(file, async (disk) => {
      await disk.bitmaps.clear("all");
      await disk.bitmaps.remove("none");
    });
    expectClean(file);
    expect(await dirty(file, "all")).toEqual([]);
  });

  it("all that can be done to them, in images that QEMU then reads", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), 4 * MIB);
    const other = qemuCreate(folder.file("other"), 4 * MIB);
    qemuImg("bitmap", "--add", "-g", "4k", other, "elsewhere");
    qemuIo(other, "write 3M 4k");
    await use(file, async (disk) => {
      await disk.bitmaps.add({ name: "one", persistent: true });
      await disk.bitmaps.add({ name: "two", persistent: true, granularity: 512 });
      await disk.bitmaps.add({ name: "gone", persistent: true });
      await disk.bitmaps.add({ name: "passing" });
      await disk.write(0, Buffer.alloc(100, 1));
    });
    expect(qemuBitmaps(file).map(({ name }) => name)).toEqual(["one", "two", "gone"]);
    await use(file, async (disk) => {
      await disk.bitmaps.remove("gone");
      await disk.bitmaps.disable("one");
      await disk.write(MIB, Buffer.alloc(100, 1));
      await disk.bitmaps.clear("two");
      await disk.write(2 * MIB, Buffer.alloc(100, 1));
      await use(other, async (second) => disk.bitmaps.merge("two", [await second.bitmaps.get("elsewhere"), "one"]), true);
    });
    expectClean(file);
    expect(qemuBitmaps(file)).toEqual([
      { name: "one", flags: [], granularity: 65_536 },
      { name: "two", flags: ["auto"], granularity: 512 },
    ]);
    expect(qemuDirty(file, "one")).toEqual([{ offset: 0, length: 65_536 }]);
    expect(qemuDirty(file, "two")).toEqual([
      { offset: 0, length: 65_536 },
      { offset: 2 * MIB, length: 512 },
      { offset: 3 * MIB, length: 4096 },
    ]);
    await use(file, async (disk) => {
      await disk.bitmaps.remove("one");
      await disk.bitmaps.remove("two");
    });
    expectClean(file);
    expect(qemuBitmaps(file)).toEqual([]);
    qemuImg("bitmap", "--add", file, "again");
    expectClean(file);
  });

  it("grow with their disk, disabled ones too, beside snapshots", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), 4 * MIB, "cluster_size=512");
    qemuImg("bitmap", "--add", "-g", "512", file, "on");
    qemuImg("bitmap", "--add", "--disable", "-g", "512", file, "off");
    await use(file, async (disk) => {
      await disk.write(MIB, Buffer.alloc(512, 1));
      await disk.snapshots.create("before");
      await disk.resize(9 * MIB);
      await disk.write(9 * MIB - 512, Buffer.alloc(512, 1));
      await expect(disk.snapshots.apply("before")).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    });
    expectClean(file);
    expect(qemuDirty(file, "off")).toEqual([]);
    expect(qemuDirty(file, "on")).toEqual([
      { offset: MIB, length: 512 },
      { offset: 9 * MIB - 512, length: 512 },
    ]);
    await use(
      file,
      async (disk) => {
        expect((await disk.bitmaps.all()).length).toBe(2);
      },
      true,
    );
  });

  it("are gone for QEMU and for us when a program without bitmaps has written; new ones can be made", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), MIB);
    qemuImg("bitmap", "--add", file, "old");
    patch(file, (bytes) => void bytes.writeBigUInt64BE(0n, 88));
    await use(file, async (disk) => {
      expect(await disk.bitmaps.all()).toEqual([]);
      await disk.bitmaps.add({ name: "new", persistent: true });
    });
    expect(qemuBitmaps(file).map(({ name }) => name)).toEqual(["new"]);
  });
});

describe("the mark that a bitmap is in use", () => {
  it("is set before the first write for those that follow it, and for others when they are changed", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), MIB);
    for (const name of ["on", "off", "later"]) qemuImg("bitmap", "--add", ...(name === "on" ? [] : ["--disable"]), file, name);
    const flags = () => Object.fromEntries(qemuBitmaps(file).map((bitmap) => [bitmap.name, bitmap.flags]));
    await use(file, async (disk) => {
      await disk.read(0, Buffer.alloc(10));
      expect(flags()).toEqual({ on: ["auto"], off: [], later: [] });
      await disk.write(0, Buffer.alloc(10, 1));
      expect(flags()).toEqual({ on: ["in-use", "auto"], off: [], later: [] });
      await disk.bitmaps.enable("later");
      expect(flags()).toEqual({ on: ["in-use", "auto"], off: [], later: ["in-use"] });
    });
    expect(flags()).toEqual({ on: ["auto"], off: [], later: ["auto"] });
  });

  it("makes a bitmap inconsistent for the next who opens the image: it can only be removed", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), MIB);
    qemuImg("bitmap", "--add", file, "lost");
    qemuImg("bitmap", "--add", file, "kept");
    const directory = Number(readFileSync(file).readBigUInt64BE(findExtension(readFileSync(file)) + 24));
    patch(file, (bytes) => void bytes.writeUInt32BE(3, directory + 12));
    await use(file, async (disk) => {
      expect(await disk.bitmaps.get("lost")).toMatchObject({ inconsistent: true, enabled: false });
      for (const change of [
        () => disk.bitmaps.enable("lost"),
        () => disk.bitmaps.clear("lost"),
        () => disk.bitmaps.merge("kept", ["lost"]),
        () => disk.bitmaps.merge("lost", ["kept"]),
      ]) {
        await expect(change()).rejects.toThrow(/'lost' is inconsistent and cannot be used/);
      }
      await disk.write(0, Buffer.alloc(10, 1));
    });
    expect(qemuBitmaps(file)).toMatchObject([
      { name: "lost", flags: ["in-use", "auto"] },
      { name: "kept", flags: ["auto"] },
    ]);
    expect(qemuDirty(file, "kept")).toEqual([{ offset: 0, length: 65_536 }]);
    await use(file, (disk) => disk.bitmaps.remove("lost"));
    expect(qemuBitmaps(file)).toMatchObject([{ name: "kept", flags: ["auto"] }]);
    expectClean(file);
  });
});

/** Where the bitmaps extension lies. */
function findExtension(bytes: Buffer): number {
  return bytes.indexOf(Buffer.from("2385287500000018", "hex"));
}
