import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { BlockGraph, type BlockNode, type CreateValue, memoryDriver, rawDriver } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { qcow2Driver } from "../index.ts";
import { contentOf, expectClean, hostGraph, qemuContent, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";

const SIZE = 3 * 1024 * 1024;
const FILL = ["write -P 1 0 200k", "write -P 2 1M 64k", "write -z 512k 128k", "write -P 3 2M 300k", "write -z 2M 64k", "discard 1M 64k"];

async function amend(file: string, values: Readonly<Record<string, CreateValue>>): Promise<void> {
  await using graph = hostGraph();
  await using disk = await graph.open(file, { driver: "qcow2", readOnly: false });
  await disk.amend(values);
}

/** What `qemu-img info` tells, without what depends on how the tables were laid out. */
function told(file: string): unknown {
  const { "format-specific": specific, snapshots } = JSON.parse(qemuImg("info", "--output=json", file)) as Record<string, unknown>;
  return { specific, snapshots };
}

describe("what an image becomes is what qemu-img makes of it", () => {
  const steps: readonly Readonly<Record<string, CreateValue>>[] = [
    { compat: "0.10" },
    { compat: "1.1" },
    { compat: "v3", lazy_refcounts: true, refcount_bits: 64 },
    { refcount_bits: 8 },
    { refcount_bits: 2 },
    { refcount_bits: 16, compat: "v2" },
    { compat: "1.1", size: 5 * 1024 * 1024, refcount_bits: 32 },
    { lazy_refcounts: false },
  ];
  for (const cluster of ["512", "64k"]) {
    it(`with clusters of ${cluster}, snapshots and a backing file`, { timeout: 60_000 }, async () => {
      using directory = new TemporaryDirectory();
      const base = qemuCreate(directory.file("base.qcow2"), SIZE);
      qemuIo(base, "write -P 9 0 3M");
      const file = qemuCreate(directory.file("ours.qcow2"), SIZE, `cluster_size=${cluster},backing_file=base.qcow2,backing_fmt=qcow2`);
      qemuIo(file, ...FILL);
      qemuImg("snapshot", "-c", "one", file);
      qemuIo(file, "write -z 0 64k", "write -P 4 600k 10k");
      const theirs = directory.file("theirs.qcow2");
      let expected = qemuContent(file);
      for (const values of steps) {
        const applied = { ...values };
        if ("size" in applied) {
          qemuImg("snapshot", "-d", "one", file);
          expected = Buffer.concat([expected, Buffer.alloc(Number(applied["size"]) - expected.length)]);
        }
        copyFileSync(file, theirs);
        const words = Object.entries(applied).map(([name, value]) => `${name}=${value === true ? "on" : value === false ? "off" : value}`);
        qemuImg("amend", "-o", words.join(","), theirs);
        await amend(file, applied);
        expectClean(file);
        expect(told(file)).toEqual(told(theirs));
        expect(qemuContent(file).equals(expected)).toBe(true);
        expect(qemuImg("snapshot", "-l", file)).toBe(qemuImg("snapshot", "-l", theirs));
      }
    });
  }

  it("keeps what snapshots show", async () => {
    using directory = new TemporaryDirectory();
    const file = qemuCreate(directory.file("disk.qcow2"), SIZE);
    qemuIo(file, "write -P 5 0 1M", "write -z 1M 1M");
    qemuImg("snapshot", "-c", "one", file);
    qemuIo(file, "write -z 0 512k");
    const now = qemuContent(file);
    await amend(file, { compat: "0.10" });
    expectClean(file);
    expect(qemuContent(file).equals(now)).toBe(true);
    qemuImg("snapshot", "-a", "one", file);
    expectClean(file);
    const then = qemuContent(file);
    expect(then.subarray(0, 2 ** 20).every((byte) => byte === 5)).toBe(true);
    expect(then.subarray(2 ** 20).every((byte) => byte === 0)).toBe(true);
  });
});

describe("an image that was amended", () => {
  it("goes on being used", async () => {
    using directory = new TemporaryDirectory();
    const file = qemuCreate(directory.file("disk.qcow2"), SIZE);
    {
      await using graph = hostGraph();
      await using disk = await graph.open(file, { driver: "qcow2", readOnly: false });
      await disk.write(0, new Uint8Array(300_000).fill(7));
      await disk.amend({ refcount_bits: 1 });
      await disk.write(1_000_000, new Uint8Array(300_000).fill(8));
      await disk.amend({ refcount_bits: 16, compat: "0.10" });
      await disk.writeZeroes(0, 131_072, { mayUnmap: true });
      await disk.amend({ compat: "1.1", lazy_refcounts: true });
      await disk.snapshots.create("two");
      await disk.write(2_000_000, new Uint8Array(100_000).fill(9));
      const content = await contentOf(disk);
      expect([content[0], content[200_000], content[1_200_000], content[2_050_000]]).toEqual([0, 7, 8, 9]);
      await disk.flush();
    }
    expectClean(file);
    const content = qemuContent(file);
    expect([content[0], content[200_000], content[1_200_000], content[2_050_000]]).toEqual([0, 7, 8, 9]);
  });

  const changed: Readonly<Record<string, (disk: BlockNode) => Promise<void>>> = {
    "has grown": async (disk) => {
      await disk.resize(9 * 1024 * 1024);
      await disk.write(0, new Uint8Array(9 * 1024 * 1024).fill(7));
    },
    "shows a snapshot again": async (disk) => {
      await disk.snapshots.create("two");
      await disk.write(0, new Uint8Array(4096).fill(8));
      await disk.snapshots.apply("two");
      await disk.snapshots.delete("two");
    },
  };
  for (const [what, change] of Object.entries(changed)) {
    it.each([
      ["0.10", "1.1"],
      ["1.1", "0.10"],
    ])(`keeps what it is when it ${what}, from version %s to %s`, async (from, to) => {
      using directory = new TemporaryDirectory();
      const file = qemuCreate(directory.file("a.qcow2"), SIZE, `cluster_size=512,compat=${from}`);
      qemuIo(file, "write -P 1 0 100k");
      await using graph = hostGraph();
      let expected: Buffer;
      {
        await using disk = await graph.open(file);
        await change(disk);
        await disk.amend({ compat: to });
        await disk.write(SIZE - 5000, new Uint8Array(5000).fill(6));
        expected = await contentOf(disk);
      }
      expectClean(file);
      expect(qemuContent(file).equals(expected)).toBe(true);
    });
  }

  it("keeps its version, which keeps its bitmaps: also those that are not on disk yet", async () => {
    using directory = new TemporaryDirectory();
    const file = qemuCreate(directory.file("a.qcow2"), SIZE);
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await disk.bitmaps.add({ name: "a", persistent: true });
      await expect(disk.amend({ compat: "0.10" })).rejects.toThrow("Cannot downgrade an image with bitmaps");
    }
    expectClean(file);
    expect(qemuImg("info", file)).toContain("name: a");
  });

  it("does not promise again what the first write took back", async () => {
    using directory = new TemporaryDirectory();
    const file = qemuCreate(directory.file("a.qcow2"), SIZE);
    const bytes = readFileSync(file);
    bytes.writeBigUInt64BE(2n ** 40n, 88);
    writeFileSync(file, bytes);
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await disk.write(0, new Uint8Array(512));
      await disk.amend({ lazy_refcounts: true });
    }
    expect(readFileSync(file).readBigUInt64BE(88)).toBe(0n);
  });

  it("grows its refcounts into tables of several clusters", async () => {
    using directory = new TemporaryDirectory();
    const file = qemuCreate(directory.file("disk.qcow2"), SIZE, "cluster_size=512,refcount_bits=1");
    qemuIo(file, "write -P 6 0 3M");
    for (const bits of [64, 1, 32]) {
      await amend(file, { refcount_bits: bits });
      expectClean(file);
    }
    expect(qemuContent(file).every((byte) => byte === 6)).toBe(true);
  });
});

describe("what is refused, with nothing changed", () => {
  const cases: readonly (readonly [string, string, Readonly<Record<string, CreateValue>>, RegExp])[] = [
    ["a level that is unknown", "", { compat: "0.9" }, /^Unknown compatibility level '0.9'/],
    ["a width that is no power of two", "", { refcount_bits: 7 }, /power of two/],
    ["an older version with other widths", "refcount_bits=8", { compat: "0.10" }, /requires refcount_bits=16/],
    ["an older version with that width", "", { compat: "0.10", refcount_bits: 8 }, /^Refcount widths other than 16 bits/],
    ["an older version with lazy refcounts", "", { compat: "0.10", lazy_refcounts: true }, /^Lazy refcounts only/],
    ["an older version with extended L2", "extended_l2=on", { compat: "0.10" }, /incompatible features 0x10/],
    ["another backing file", "", { backing_file: "x" }, /Cannot amend the backing file/],
    ["a data file that is none", "", { data_file: "x" }, /only be set for images that use an external data file/],
    ["a raw data file", "", { data_file_raw: true }, /cannot be set on existing images/],
    ["an option of create alone", "", { cluster_size: 4096 }, /'cluster_size' cannot be amended/],
  ];
  for (const [what, options, values, words] of cases) {
    it(what, async () => {
      using directory = new TemporaryDirectory();
      const file = qemuCreate(directory.file("disk.qcow2"), SIZE, options);
      qemuIo(file, "write -z 0 64k");
      const before = told(file);
      await expect(amend(file, values)).rejects.toThrow(words);
      expect(told(file)).toEqual(before);
      expectClean(file);
    });
  }

  it("a width that some refcount does not fit into", async () => {
    using directory = new TemporaryDirectory();
    const file = qemuCreate(directory.file("disk.qcow2"), SIZE);
    qemuIo(file, "write -P 1 0 64k");
    qemuImg("snapshot", "-c", "one", file);
    await expect(amend(file, { refcount_bits: 1 })).rejects.toThrow(/to 1 bits: Cluster at offset 0x[0-9a-f]+ has a refcount of 2/);
    expectClean(file);
  });
});

describe("power cuts and failed writes leave leaks at most, and the same bytes", () => {
  const changes: readonly Readonly<Record<string, CreateValue>>[] = [
    { refcount_bits: 64 },
    { compat: "0.10" },
    { refcount_bits: 2, lazy_refcounts: true },
    { lazy_refcounts: true, size: 4 * SIZE },
  ];

  function original(directory: TemporaryDirectory): { readonly bytes: Buffer; readonly content: Buffer } {
    const file = qemuCreate(directory.file("disk.qcow2"), 400_384, "cluster_size=512");
    qemuIo(file, "write -P 1 0 20k", "write -z 4k 8k");
    qemuImg("snapshot", "-c", "one", file);
    qemuIo(file, "write -P 2 100k 20k", "write -z 3k 20k");
    return { bytes: readFileSync(file), content: qemuContent(file) };
  }

  async function amendRecorded(file: RecordedFile, values: Readonly<Record<string, CreateValue>>): Promise<void> {
    await using graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
    const disk = await graph.open({ driver: "qcow2", file: { driver: "memory" } });
    try {
      await disk.amend(values);
    } finally {
      await disk[Symbol.asyncDispose]();
    }
  }

  async function expectWhole(bytes: Uint8Array, content: Buffer): Promise<void> {
    await using graph = new BlockGraph({ drivers: [memoryDriver, rawDriver, qcow2Driver] });
    await using disk = await graph.open({ driver: "qcow2", file: { driver: "memory", bytes }, readOnly: true });
    expect((await contentOf(disk)).subarray(0, content.length).equals(content)).toBe(true);
    const check = await disk.check({ repair: "none" });
    expect([check?.errors, check?.corruptions]).toEqual([0, 0]);
  }

  for (const values of changes) {
    it(JSON.stringify(values), { timeout: 60_000 }, async () => {
      using directory = new TemporaryDirectory();
      const { bytes, content } = original(directory);
      const file = new RecordedFile(bytes);
      await amendRecorded(file, values);
      await expectWhole(file.bytes, content);
      const random = new Seeded(7);
      expect(file.log.length).toBeGreaterThan(4);
      for (let length = 0; length <= file.log.length; length++)
        for (let seed = 0; seed < 3; seed++)
          await expectWhole(
            file.cut(bytes, length, () => random.below(2) === 0),
            content,
          );
      let failures = 0;
      for (let until = 0; until < file.log.length; until++) {
        const failing = new RecordedFile(bytes);
        failing.operationsUntilFailure = until;
        await amendRecorded(failing, values).catch((error: unknown) => {
          failures++;
          if (!(error instanceof Error)) throw error;
        });
        await expectWhole(failing.bytes, content);
      }
      expect(failures).toBeGreaterThan(3);
    });
  }
});
