/** Persistent bitmaps in images that keep something else besides: refcounts that stay behind, data elsewhere, ciphers, snapshots. */

import { readFileSync, writeFileSync } from "node:fs";
import type { BlockGraph, BlockNode, DirtyExtent } from "@coblock/core";
import { describe, expect, it } from "vitest";
import {
  expectCleanEncrypted,
  opened,
  QUICK,
  qemuCreateEncrypted,
  secretGraph,
  secretQemuDirty,
  secretQemuIo,
} from "../test/encrypted-images.ts";
import {
  contentOf,
  expectClean,
  hostGraph,
  patch,
  qemuBitmaps,
  qemuCreate,
  qemuDirty,
  qemuImg,
  qemuIo,
  TemporaryDirectory,
} from "../test/images.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE = 8 * MIB;

/** How both programs use a kind of image. */
interface Kind extends Opening {
  readonly make: (folder: TemporaryDirectory) => string;
  readonly io?: (file: string, command: string) => void;
  readonly dirty?: (file: string, bitmap: string) => DirtyExtent[];
  readonly clean?: (file: string) => void;
}

interface Opening {
  readonly graph?: () => BlockGraph;
  readonly options?: (file: string) => Parameters<BlockGraph["open"]>[0];
}

const KINDS: Readonly<Record<string, Kind>> = {
  "lazy refcounts": { make: (folder) => qemuCreate(folder.file("image"), SIZE, "lazy_refcounts=on,cluster_size=4k") },
  "a data file": { make: (folder) => qemuCreate(folder.file("image"), SIZE, `data_file=${folder.file("data")}`) },
  "a raw data file": {
    make: (folder) => qemuCreate(folder.file("image"), SIZE, `data_file=${folder.file("data")},data_file_raw=on,cluster_size=4k`),
  },
  "a backing file": {
    make: (folder) => {
      qemuIo(qemuCreate(folder.file("base"), SIZE), "write -P 1 0 8M");
      return qemuCreate(folder.file("image"), SIZE, `backing_file=${folder.file("base")},backing_fmt=qcow2`);
    },
  },
  LUKS: {
    make: (folder) => qemuCreateEncrypted(folder.file("image"), SIZE, `${QUICK},cluster_size=4k`),
    graph: secretGraph,
    options: opened,
    io: secretQemuIo,
    dirty: secretQemuDirty,
    clean: expectCleanEncrypted,
  },
};

async function use<T>(kind: Opening, file: string, work: (disk: BlockNode) => Promise<T>): Promise<T> {
  await using graph = (kind.graph ?? hostGraph)();
  await using disk = await graph.open(kind.options?.(file) ?? { driver: "qcow2", file });
  return await work(disk);
}

/** Both programs write in turns; what either marks the other keeps. */
describe.each(Object.entries(KINDS))("bitmaps beside %s", (_name, kind) => {
  const { io = qemuIo, dirty = qemuDirty, clean = expectClean } = kind;

  it("follow both programs, and are the same to both", async () => {
    using folder = new TemporaryDirectory();
    const file = kind.make(folder);
    await use(kind, file, async (disk) => {
      await disk.write(0, Buffer.alloc(100 * KIB, 1));
      await disk.bitmaps.add({ name: "kept", granularity: 4 * KIB, persistent: true });
      await disk.bitmaps.add({ name: "still", granularity: 4 * KIB, persistent: true, enabled: false });
      await disk.write(2 * MIB, Buffer.alloc(100, 2));
      await disk.flush();
      await disk.writeZeroes(4 * MIB, 64 * KIB, { mayUnmap: true });
    });
    clean(file);
    const first = [
      { offset: 2 * MIB, length: 4 * KIB },
      { offset: 4 * MIB, length: 64 * KIB },
    ];
    expect(dirty(file, "kept")).toEqual(first);
    io(file, "write -P 3 6M 4k");
    const second = [...first, { offset: 6 * MIB, length: 4 * KIB }];
    await use(kind, file, async (disk) => {
      expect([...(await disk.bitmaps.get("kept")).extents()]).toEqual(second);
      await disk.bitmaps.merge("still", ["kept"]);
      await disk.bitmaps.clear("kept");
      await disk.write(MIB, Buffer.alloc(5 * KIB, 4));
    });
    clean(file);
    expect(dirty(file, "kept")).toEqual([{ offset: MIB, length: 8 * KIB }]);
    expect(dirty(file, "still")).toEqual(second);
    await use(kind, file, async (disk) => {
      await disk.bitmaps.remove("still");
      await disk.bitmaps.remove("kept");
      const bytes = await contentOf(disk);
      for (const [offset, value] of [
        [0, 1],
        [MIB, 4],
        [2 * MIB, 2],
        [4 * MIB, 0],
        [6 * MIB, 3],
      ] as const)
        expect(bytes[offset]).toBe(value);
    });
    clean(file);
    expect(qemuBitmaps(file)).toEqual([]);
  });
});

describe("bitmaps beside lazy refcounts", () => {
  it("are inconsistent after a crash, and the repair at the next opening leaves them to be removed", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), SIZE, "lazy_refcounts=on,cluster_size=4k");
    qemuImg("bitmap", "--add", file, "lost");
    qemuImg("bitmap", "--add", "--disable", file, "sound");
    const crashed = folder.file("crashed");
    await use({}, file, async (disk) => {
      await disk.write(MIB, Buffer.alloc(MIB, 1));
      await disk.flush();
      writeFileSync(crashed, readFileSync(file));
    });
    await use({}, crashed, async (disk) => {
      expect((await disk.bitmaps.all()).map(({ name, inconsistent }) => ({ name, inconsistent }))).toEqual([
        { name: "lost", inconsistent: true },
        { name: "sound", inconsistent: false },
      ]);
      await disk.bitmaps.remove("lost");
      await disk.bitmaps.enable("sound");
      await disk.write(4 * MIB, Buffer.alloc(100, 1));
    });
    expectClean(crashed);
    expect(qemuDirty(crashed, "sound")).toEqual([{ offset: 4 * MIB, length: 4 * KIB }]);
  });
});

describe("bitmaps beside snapshots", () => {
  it("go on while snapshots come and go, and tell nothing of the disk of a snapshot", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), SIZE, "cluster_size=4k");
    await use({}, file, async (disk) => {
      await disk.write(0, Buffer.alloc(MIB, 1));
      await disk.bitmaps.add({ name: "kept", granularity: 64 * KIB, persistent: true });
      await disk.snapshots.create("before");
      await disk.write(512 * KIB, Buffer.alloc(100, 2));
      await disk.snapshots.create("between");
      await disk.write(3 * MIB, Buffer.alloc(100, 3));
      await disk.snapshots.delete({ name: "before" });
    });
    expectClean(file);
    const expected = [
      { offset: 512 * KIB, length: 64 * KIB },
      { offset: 3 * MIB, length: 64 * KIB },
    ];
    expect(qemuDirty(file, "kept")).toEqual(expected);
    qemuImg("snapshot", "-c", "theirs", file);
    await use({}, file, async (disk) => {
      expect([...(await disk.bitmaps.get("kept")).extents()]).toEqual(expected);
      await disk.snapshots.delete({ name: "theirs" });
      await disk.bitmaps.remove("kept");
      await disk.snapshots.apply("between");
      expect((await contentOf(disk))[3 * MIB]).toBe(0);
    });
    expectClean(file);
    await using graph = hostGraph();
    await using view = await graph.open({ driver: "qcow2", file, snapshot: "between" }, { readOnly: true });
    expect(view.bitmaps.canKeep).toBe(false);
    expect(await view.bitmaps.all()).toEqual([]);
  });

  it("of which an inconsistent one names a snapshot's table: it goes, the snapshot stays", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), SIZE, "cluster_size=4k");
    qemuIo(file, "write -P 7 0 1M");
    qemuImg("snapshot", "-c", "old", file);
    qemuImg("bitmap", "--add", file, "broken");
    patch(file, (bytes) => {
      const directory = Number(bytes.readBigUInt64BE(bytes.indexOf(Buffer.from("2385287500000018", "hex")) + 24));
      const snapshots = Number(bytes.readBigUInt64BE(64));
      bytes.copy(bytes, Number(bytes.readBigUInt64BE(directory)), snapshots, snapshots + 8);
      bytes.writeUInt32BE(1, directory + 12);
    });
    await use({}, file, async (disk) => {
      await disk.bitmaps.remove("broken");
      await disk.write(4 * MIB, Buffer.alloc(MIB, 9));
    });
    qemuImg("check", "-q", "-r", "leaks", file);
    expectClean(file);
    qemuImg("snapshot", "-a", "old", file);
    const filled = qemuCreate(folder.file("filled"), SIZE);
    qemuIo(filled, "write -P 7 0 1M");
    expect(qemuImg("compare", "-f", "qcow2", file, filled)).toContain("identical");
  });
});
