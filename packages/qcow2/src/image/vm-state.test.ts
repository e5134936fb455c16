import { readFileSync } from "node:fs";
import { BlockGraph, type BlockNode, memoryDriver, rawDriver } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { expectCleanEncrypted, opened, QUICK_VALUES, secretGraph, secretQemuIo } from "../test/encrypted-images.ts";
import { contentOf, expectClean, hostGraph, qemuContent, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";
import { qcow2Driver } from "../index.ts";

const KIB = 1024;
const SIZE = 1000 * KIB + 512;

async function use<T>(file: string, work: (disk: BlockNode) => Promise<T>, readOnly = false): Promise<T> {
  await using graph = secretGraph();
  const isEncrypted = readFileSync(file).readUInt32BE(32) !== 0;
  await using disk = await graph.open(isEncrypted ? opened(file) : { driver: "qcow2", file }, { readOnly });
  return await work(disk);
}

async function stateOf(disk: BlockNode, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length, 0xee);
  await disk.vmState.read(0, bytes);
  return bytes;
}

/** Commands of qemu-io that compare whole sectors of equal bytes. */
function readsOf(model: Buffer): string[] {
  const commands: string[] = [];
  for (let start = 0, at = 512; at <= model.length; at += 512) {
    const [pattern = 0] = model.subarray(start, start + 1);
    const isEqual = at < model.length && model.subarray(at, at + 512).every((byte) => byte === pattern);
    if (isEqual) continue;
    if (model.subarray(start, start + 512).every((byte) => byte === pattern)) commands.push(`read -b -P ${pattern} ${start} ${at - start}`);
    start = at;
  }
  return commands;
}

const SHAPES = [
  "",
  "cluster_size=512",
  "cluster_size=512,refcount_bits=64",
  "cluster_size=16k,extended_l2=on",
  "cluster_size=4k,compat=0.10",
  "lazy_refcounts=on",
  "encrypted",
];

describe.each(SHAPES)("the state of a machine in an image with '%s'", (options) => {
  const encrypted = options === "encrypted";
  const io = encrypted ? secretQemuIo : qemuIo;

  it("is the same to both programs, beside a disk that stays as it is", async () => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    await using graph = secretGraph();
    if (encrypted) await graph.create({ driver: "qcow2", filename: file, size: SIZE, values: QUICK_VALUES });
    else qemuCreate(file, SIZE, options);
    const random = new Seeded(options.length);
    const model = Buffer.alloc(3000 * KIB);
    io(file, "write -P 1 0 200k");
    expect((await use(file, (disk) => stateOf(disk, model.length), true)).equals(model)).toBe(true);
    for (let session = 0; session < 3; session++) {
      const theirs = random.below(5000) * 512;
      io(file, `write -b -P ${session + 7} ${theirs} 150k`);
      model.fill(session + 7, theirs, theirs + 150 * KIB);
      await use(file, async (disk) => {
        for (let step = 0; step < 6; step++) {
          const position = random.below(model.length);
          const bytes = Buffer.alloc(Math.min(model.length - position, 1 + random.below(100 * KIB)), random.below(256));
          bytes.copy(model, position);
          await disk.vmState.write(position, bytes);
        }
        expect((await stateOf(disk, model.length)).equals(model)).toBe(true);
        if (session === 1 && !encrypted) await disk.snapshots.create("one");
      });
      expect((await use(file, (disk) => stateOf(disk, model.length), true)).equals(model)).toBe(true);
      io(file, ...readsOf(model));
      if (encrypted) expectCleanEncrypted(file);
      else expectClean(file);
    }
    const disk = await use(file, contentOf);
    expect(disk.equals(Buffer.concat([Buffer.alloc(200 * KIB, 1), Buffer.alloc(SIZE - 200 * KIB)]))).toBe(true);
  });
});

describe("the state of a machine", () => {
  it("is kept by snapshots, and comes back with them", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), SIZE);
    await use(file, async (disk) => {
      await disk.vmState.write(0, Buffer.alloc(200 * KIB, 5));
      await disk.snapshots.create("one");
      await disk.vmState.write(100, Buffer.alloc(100 * KIB, 6));
      await disk.snapshots.apply("one");
      expect((await stateOf(disk, 300 * KIB)).equals(Buffer.concat([Buffer.alloc(200 * KIB, 5), Buffer.alloc(100 * KIB)]))).toBe(true);
    });
    expectClean(file);
    qemuIo(file, "read -b -P 5 0 200k", "write -b -P 7 0 300k");
    await using graph = hostGraph();
    await using then = await graph.open({ driver: "qcow2", file, snapshot: "one" }, { readOnly: true });
    expect((await stateOf(then, 300 * KIB)).equals(Buffer.concat([Buffer.alloc(200 * KIB, 5), Buffer.alloc(100 * KIB)]))).toBe(true);
  });

  it("shows nothing of a backing file, and nothing of it shows in a disk that grows", async () => {
    using folder = new TemporaryDirectory();
    const base = qemuCreate(folder.file("base"), "4M");
    qemuIo(base, "write -P 9 0 4M");
    const file = qemuCreate(folder.file("image"), SIZE, `cluster_size=512,backing_file=${base},backing_fmt=qcow2`);
    await use(file, async (disk) => {
      await disk.vmState.write(1000, Buffer.alloc(3000, 4));
      const state = await stateOf(disk, 6000);
      expect(state.equals(Buffer.concat([Buffer.alloc(1000), Buffer.alloc(3000, 4), Buffer.alloc(2000)]))).toBe(true);
      await disk.resize(2 * SIZE);
      expect((await stateOf(disk, 6000)).every((byte) => byte === 0)).toBe(true);
    });
    expectClean(file);
    expect(
      qemuContent(file)
        .subarray(SIZE)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  it("is refused where there is no room for it, and where nothing is to be written", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), SIZE);
    await use(file, (disk) => expect(disk.vmState.write(0, new Uint8Array(1))).rejects.toMatchObject({ code: "READ_ONLY" }), true);
    await use(file, async (disk) => {
      await expect(disk.vmState.write(-1, new Uint8Array(1))).rejects.toMatchObject({ code: "INVALID_OPTION" });
      await expect(disk.vmState.write(2 ** 52, new Uint8Array(1))).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
      await disk.vmState.write(0, new Uint8Array(0));
    });
    const external = qemuCreate(folder.file("external"), SIZE, `data_file=${folder.file("data")}`);
    await use(external, (disk) => expect(disk.vmState.write(0, new Uint8Array(1))).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" }));
    await using graph = hostGraph();
    await using raw = await graph.open({ driver: "raw", file });
    await raw.vmState.write(0, new Uint8Array(1)).then(
      () => expect.fail("a raw disk has no room"),
      (error: unknown) => expect(error).toMatchObject({ code: "UNSUPPORTED_FEATURE" }),
    );
  });

  it("is old or new after a power cut, and the disk as it was", { timeout: 60_000 }, async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), 100 * KIB, "cluster_size=512");
    qemuIo(file, "write -P 1 0 20k", "write -b -P 2 0 4k");
    qemuImg("snapshot", "-c", "one", file);
    const before = readFileSync(file);
    const content = qemuContent(file);
    const recorded = new RecordedFile(before);
    {
      await using graph = new BlockGraph({ drivers: [recorded.driver, rawDriver, qcow2Driver] });
      await using disk = await graph.open({ driver: "qcow2", file: { driver: "memory" } });
      await disk.vmState.write(1024, Buffer.alloc(100 * KIB, 3));
      await disk.flush();
    }
    const random = new Seeded(3);
    for (let length = 0; length <= recorded.log.length; length++)
      for (let seed = 0; seed < 2; seed++) {
        const bytes = recorded.cut(before, length, () => random.once(2));
        await using graph = new BlockGraph({ drivers: [memoryDriver, rawDriver, qcow2Driver] });
        await using disk = await graph.open({ driver: "qcow2", file: { driver: "memory", bytes } });
        expect((await contentOf(disk)).equals(content)).toBe(true);
        expect(await disk.check({ repair: "none" })).toMatchObject({ errors: 0, corruptions: 0 });
        const state = await stateOf(disk, 101 * KIB);
        for (let at = 0; at < 4096; at += 512) {
          const known = at < 1024 ? [2] : [2, 3];
          expect(known).toContain(state[at]);
          expect(state.subarray(at, at + 512).every((byte) => byte === state[at])).toBe(true);
        }
      }
  });
});

describe("a snapshot of a machine", () => {
  it("tells its clock and how long its state is, to both programs", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), SIZE);
    const state = new Seeded(1).bytes(100_000);
    await use(file, async (disk) => {
      await disk.vmState.write(0, state);
      const machine = { vmStateSize: state.length, vmClockNanoseconds: 5_000_000_000n, icount: 7n };
      expect(await disk.snapshots.create("running", machine)).toMatchObject(machine);
      expect(await disk.snapshots.create("disk alone")).toMatchObject({ vmStateSize: 0, vmClockNanoseconds: 0n });
      await disk.vmState.write(0, Buffer.alloc(state.length));
    });
    expectClean(file);
    const { snapshots } = JSON.parse(qemuImg("info", "--output=json", file)) as { readonly snapshots: readonly object[] };
    expect(snapshots).toMatchObject([
      { name: "running", "vm-state-size": state.length, "vm-clock-sec": 5, "vm-clock-nsec": 0, icount: 7 },
      { name: "disk alone", "vm-state-size": 0 },
    ]);
    await use(file, async (disk) => {
      await disk.snapshots.apply("running");
      expect((await stateOf(disk, state.length)).equals(state)).toBe(true);
    });
  });

  it.each([
    [{ vmStateSize: -1 }, "INVALID_OPTION"],
    [{ vmStateSize: 0.5 }, "INVALID_OPTION"],
    [{ vmClockNanoseconds: -1n }, "INVALID_OPTION"],
    [{ icount: 2n ** 63n }, "INVALID_OPTION"],
    [{ vmStateSize: 2 ** 52 }, "OUT_OF_RANGE"],
  ])("is refused with %o", async (machine, code) => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), SIZE);
    await use(file, async (disk) => {
      await expect(disk.snapshots.create("no", machine)).rejects.toMatchObject({ code });
      expect(disk.snapshots.list()).toEqual([]);
    });
  });
});
