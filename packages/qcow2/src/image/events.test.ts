/** What a qcow2 image tells its file that it is about to do, and what goes on while it is stopped there. */

import { readFileSync, writeFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { type BlockDriver, type BlockEvent, BlockGraph, type BlockNode, type DriverEntry, memoryDriver, rawDriver } from "@coblock/core";
import { describe, expect, test } from "vitest";
import { qcow2Driver } from "../index.ts";
import { contentOf, expectClean, qemuContent, qemuCreate, qemuImg, qemuIo, TemporaryDirectory } from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** A file that writes down the events, and stops whoever comes to some of them. */
class ListeningFile extends RecordedFile {
  readonly events: BlockEvent[] = [];
  stops: (name: BlockEvent) => boolean = () => false;
  #stopped: { readonly name: BlockEvent; go(): void }[] = [];

  override get driver(): DriverEntry {
    const entry = super.driver;
    const load = async (): Promise<BlockDriver> => {
      const driver = await entry.load();
      const event = (name: BlockEvent): void | Promise<void> => this.#at(name);
      return { ...driver, open: async (...words) => Object.assign(await driver.open(...words), { event }) };
    };
    return { ...entry, load };
  }

  /** The events where somebody waits. */
  get stopped(): readonly BlockEvent[] {
    return this.#stopped.map(({ name }) => name);
  }

  /** Lets all that wait, or those at `name`, go on. */
  goOn(name?: BlockEvent): void {
    const going = this.#stopped.filter((stop) => name === undefined || stop.name === name);
    this.#stopped = this.#stopped.filter((stop) => !going.includes(stop));
    for (const { go } of going) go();
  }

  /** The events of `work`. */
  async during(work: () => Promise<unknown>): Promise<BlockEvent[]> {
    this.events.length = 0;
    await work();
    return [...this.events];
  }

  #at(name: BlockEvent): void | Promise<void> {
    this.events.push(name);
    return this.stops(name) ? new Promise((go) => this.#stopped.push({ name, go })) : undefined;
  }
}

async function openFile(file: ListeningFile, backing?: Buffer): Promise<BlockNode> {
  const graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
  const base =
    backing === undefined ? undefined : await new BlockGraph({ drivers: [memoryDriver] }).open({ driver: "memory", bytes: backing });
  const image = { driver: "qcow2", file: { driver: "memory" }, ...(base === undefined ? {} : { backing: base }) } as const;
  return graph.open(image, { discard: "unmap" });
}

/** A new image by `qemu-img`, in which `prepare` did something. */
function imageFile(options: string, size: string, prepare: (file: string) => void = () => {}): ListeningFile {
  using directory = new TemporaryDirectory();
  const file = qemuCreate(directory.file("image.qcow2"), size, options);
  prepare(file);
  return new ListeningFile(readFileSync(file));
}

async function settled(): Promise<void> {
  for (let count = 0; count < 5; count++) await turn();
}

describe("events, in the order in which an image is used", () => {
  test("clusters come and go", async () => {
    const file = imageFile("cluster_size=4k", "8M");
    const opened: BlockNode[] = [];
    expect(await file.during(async () => opened.push(await openFile(file)))).toEqual(["reftable_load"]);
    const [disk] = opened;
    if (disk === undefined) throw new Error("the disk is open");
    expect(await file.during(() => disk.write(0, Buffer.alloc(4 * KIB, 1))), "a new table").toEqual([
      "cluster_alloc",
      "refblock_load",
      "l2_alloc_write",
      "cluster_alloc",
      "write_aio",
    ]);
    expect(await file.during(() => disk.flush())).toEqual([
      "flush_to_os",
      "refblock_update_part",
      "l2_update",
      "l1_update",
      "flush_to_disk",
    ]);
    expect(await file.during(() => disk.write(0, Buffer.alloc(4 * KIB, 2))), "in place").toEqual(["write_aio"]);
    await disk.discard(0, 4 * KIB);
    expect(await file.during(() => disk.flush()), "freed when the table is out").toEqual([
      "flush_to_os",
      "l2_update",
      "flush_to_disk",
      "cluster_free",
    ]);
    await disk.write(8 * KIB, Buffer.alloc(4 * KIB, 3));
    await disk[Symbol.asyncDispose]();
    const again = await openFile(file);
    expect(await file.during(() => again.read(8 * KIB, Buffer.alloc(512)))).toEqual(["l2_load", "read_aio"]);
    await again[Symbol.asyncDispose]();
  });

  test("compressed clusters", async () => {
    const file = imageFile("cluster_size=4k", "8M");
    const disk = await openFile(file);
    await disk.write(64 * KIB, Buffer.alloc(4 * KIB, 1));
    expect(await file.during(() => disk.writeCompressed(0, Buffer.alloc(4 * KIB, 1)))).toEqual([
      "cluster_alloc_bytes",
      "cluster_alloc",
      "write_compressed",
      "l2_update_compressed",
    ]);
    expect(await file.during(() => disk.writeCompressed(4 * KIB, Buffer.alloc(4 * KIB, 2))), "behind the last").toEqual([
      "cluster_alloc_bytes",
      "write_compressed",
      "l2_update_compressed",
    ]);
    expect(await file.during(() => disk.read(0, Buffer.alloc(512)))).toEqual(["read_compressed"]);
    await disk[Symbol.asyncDispose]();
  });

  test("what a snapshot shares, and a backing file", async () => {
    const file = imageFile("cluster_size=4k", "8M", (path) => {
      qemuIo(path, "write 0 4k");
      qemuImg("snapshot", "-c", "before", path);
    });
    const disk = await openFile(file, Buffer.alloc(8 * MIB, 7));
    expect(await file.during(() => disk.write(512, Buffer.alloc(512, 1)))).toEqual([
      "l2_load",
      "l2_alloc_cow_read",
      "refblock_load",
      "cluster_alloc",
      "l2_alloc_write",
      "cluster_alloc",
      "cow_read",
      "read_aio",
      "cow_read",
      "read_aio",
      "cow_write",
      "write_aio",
    ]);
    expect(await file.during(() => disk.read(MIB, Buffer.alloc(512)))).toEqual(["read_backing_aio"]);
    expect(await file.during(() => disk.flush()), "the references of the old table and cluster").toContain("cluster_free");
    await disk[Symbol.asyncDispose]();
  });

  test("refcount blocks and a larger refcount table", async () => {
    // A block counts 64 clusters, the first table 4,096.
    const file = imageFile("cluster_size=512,refcount_bits=64", "8M", (path) => qemuIo(path, "write 0 1900k"));
    const disk = await openFile(file);
    const events = await file.during(async () => {
      await disk.write(4 * MIB, Buffer.alloc(200 * KIB, 1));
      await disk.flush();
    });
    const seen = new Set(events);
    const at = (name: BlockEvent): number => events.indexOf(name);
    expect(at("refblock_alloc"), "a block by itself").toBeGreaterThanOrEqual(0);
    expect(at("refblock_alloc_write")).toBeGreaterThan(at("refblock_alloc"));
    expect(at("refblock_alloc_hookup")).toBeGreaterThan(at("refblock_alloc_write"));
    expect(at("refblock_alloc_write_blocks")).toBeGreaterThan(at("reftable_grow"));
    expect(at("refblock_alloc_write_table")).toBeGreaterThan(at("refblock_alloc_write_blocks"));
    expect(at("refblock_alloc_switch_table")).toBeGreaterThan(at("refblock_alloc_write_table"));
    for (const name of ["refblock_update", "refblock_update_part", "reftable_grow", "cluster_free"] as const) expect(seen).toContain(name);
    const later = await file.during(async () => {
      await disk.write(5 * MIB, Buffer.alloc(100 * KIB, 1));
      await disk.flush();
    });
    expect(later.indexOf("reftable_update"), "the table after its blocks").toBeGreaterThan(later.lastIndexOf("refblock_update"));
    await disk[Symbol.asyncDispose]();
  });

  test("a larger L1 table", async () => {
    const file = imageFile("cluster_size=512,refcount_bits=64", "1M");
    const disk = await openFile(file);
    const events = await file.during(() => disk.resize(200 * MIB));
    const grown = events.filter((name) => name.startsWith("l1_grow") || name === "cluster_alloc" || name.startsWith("refblock_alloc"));
    expect(grown).toEqual([
      "l1_grow_alloc_table",
      "cluster_alloc",
      "refblock_alloc",
      "refblock_alloc_write_blocks",
      "l1_grow_write_table",
      "l1_grow_activate_table",
    ]);
    await disk[Symbol.asyncDispose]();
  });
});

/** Passes most points there are; the requests of one step run at the same time. */
async function useAll(disk: BlockNode): Promise<void> {
  await disk.write(1000, Buffer.alloc(3000, 1));
  await Promise.all([
    disk.write(100 * KIB, Buffer.alloc(70 * KIB, 2)),
    disk.write(300 * KIB, Buffer.alloc(5000, 3)),
    disk.writeZeroes(2000, 20_000, { mayUnmap: true }),
    disk.writeCompressed(500 * KIB, Buffer.alloc(512, 4)),
    disk.read(0, Buffer.alloc(64 * KIB)),
  ]);
  await Promise.all([disk.flush(), disk.write(110 * KIB, Buffer.alloc(1000, 5)), disk.discard(120 * KIB, 20 * KIB)]);
  await disk.resize(60 * MIB);
  await disk.write(59 * MIB, Buffer.alloc(100 * KIB, 6));
  await disk.flush();
}

test("who is stopped at every event goes on to the same disk, and the image is sound", async () => {
  const prepare = (path: string): void => {
    qemuIo(path, "write 0 40k");
    qemuImg("snapshot", "-c", "before", path);
  };
  const contents: Buffer[] = [];
  for (const stopping of [false, true]) {
    const file = imageFile("cluster_size=512,refcount_bits=64", "1M", prepare);
    file.stops = () => stopping;
    let ended = false;
    const session = async (): Promise<void> => {
      const disk = await openFile(file);
      await useAll(disk);
      contents.push(await contentOf(disk));
      await disk[Symbol.asyncDispose]();
    };
    const running = session().finally(() => (ended = true));
    while (!ended) {
      await settled();
      file.goOn();
    }
    await running;
    using directory = new TemporaryDirectory();
    const path = directory.file("after.qcow2");
    writeFileSync(path, file.bytes);
    expectClean(path);
    expect(qemuContent(path).equals(contents[0] ?? Buffer.alloc(0))).toBe(true);
  }
  expect(contents[0]?.equals(contents[1] ?? Buffer.alloc(0))).toBe(true);
});

test("a flush that is stopped at l2_update holds the lock of the tables, and no data that has its place", async () => {
  const file = imageFile("cluster_size=4k", "8M");
  const disk = await openFile(file);
  await disk.write(0, Buffer.alloc(4 * KIB, 1));
  file.stops = (name) => name === "write_aio" || name === "l2_update";
  let written = false;
  const writing = disk.write(64 * KIB, Buffer.alloc(4 * KIB, 2)).then(() => (written = true));
  await settled();
  const flushing = disk.flush();
  await settled();
  expect(file.stopped).toEqual(["write_aio", "l2_update"]);
  const before = file.log.length;
  file.goOn("write_aio");
  await settled();
  expect(file.log.slice(before), "its data goes out").toMatchObject([{ kind: "write", bytes: Buffer.alloc(4 * KIB, 2) }]);
  let read = false;
  const bytes = Buffer.alloc(512);
  const reading = disk.read(0, bytes).then(() => (read = true));
  await settled();
  expect([written, read], "its link and all lookups wait").toEqual([false, false]);
  file.stops = () => false;
  file.goOn();
  await Promise.all([writing, flushing, reading]);
  expect(bytes).toEqual(Buffer.alloc(512, 1));
  await disk.read(64 * KIB, bytes);
  expect(bytes).toEqual(Buffer.alloc(512, 2));
  await disk[Symbol.asyncDispose]();
});
