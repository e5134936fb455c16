/** Refcounts that stay behind while the image says that it is dirty, and are right when it no longer does. */

import { readFileSync, writeFileSync } from "node:fs";
import { BlockGraph, type BlockNode, rawDriver } from "@coblock/core";
import { afterAll, describe, expect, test } from "vitest";
import { qcow2Driver, type Qcow2Options } from "../index.ts";
import { expectClean, hostGraph, qemuContent, qemuCreate, qemuImg, Seeded, TemporaryDirectory } from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const folder = new TemporaryDirectory();
afterAll(() => folder[Symbol.dispose]());

interface Opened {
  readonly file: RecordedFile;
  readonly disk: BlockNode;
}

async function open(create: string, options: Partial<Qcow2Options> = {}): Promise<Opened> {
  const file = new RecordedFile(readFileSync(qemuCreate(folder.file("new"), "4M", create)));
  const graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
  return { file, disk: await graph.open({ driver: "qcow2", file: { driver: "memory" }, ...options }) };
}

function isDirty(bytes: Buffer): boolean {
  return bytes.readUInt8(79) % 2 === 1;
}

/** Of the cluster at `offset` in the file, from the first refcount block. */
function refcountOnDisk(bytes: Buffer, cluster: number): number {
  const block = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(48))));
  return bytes.readUInt16BE(block + cluster * 2);
}

async function corruptionsIn(bytes: Uint8Array): Promise<number> {
  await using graph = hostGraph();
  await using disk = await graph.open({ driver: "qcow2", file: { driver: "memory", bytes } }, { readOnly: true });
  const totals = await disk.check({ repair: "none" }, () => {});
  return totals?.corruptions ?? Number.NaN;
}

async function expectGood(bytes: Buffer, expected: (content: Buffer) => void): Promise<void> {
  const path = folder.file("closed");
  writeFileSync(path, bytes);
  expectClean(path);
  expected(qemuContent(path));
}

describe("lazy refcounts", () => {
  test("stay behind until the image is closed, and the mark is there before the first table that needs them", async () => {
    const { file, disk } = await open("lazy_refcounts=on");
    await disk.write(0, Buffer.alloc(64 * KIB, 1));
    await disk.write(MIB, Buffer.alloc(64 * KIB, 2));
    await disk.flush();
    expect(isDirty(file.bytes)).toBe(true);
    const data = file.log.findIndex((entry) => entry.kind === "write" && entry.bytes.length === 64 * KIB);
    const cluster = Math.floor((file.log[data] as { readonly offset: number }).offset / (64 * KIB));
    expect(refcountOnDisk(file.bytes, cluster)).toBe(0);
    const mark = file.log.findIndex((entry) => entry.kind === "write" && entry.offset === 72);
    expect(file.log[mark + 1]).toEqual({ kind: "flush" });
    const tables = file.log.filter((entry, index) => index < mark && entry.kind === "write" && entry.bytes.length !== 64 * KIB);
    expect(tables, "nothing but data comes before the mark").toEqual([]);
    await disk.write(0, Buffer.alloc(64 * KIB, 3));
    await disk.flush();
    await disk[Symbol.asyncDispose]();
    expect(isDirty(file.bytes)).toBe(false);
    const cleared = file.log.findLastIndex((entry) => entry.kind === "write" && entry.offset === 72);
    expect(file.log[cleared - 1], "all is on stable storage before the mark goes").toEqual({ kind: "flush" });
    expect(file.log.slice(cleared + 1).every(({ kind }) => kind === "flush")).toBe(true);
    await expectGood(file.bytes, (content) => {
      expect(content[0]).toBe(3);
      expect(content[MIB]).toBe(2);
    });
  });

  test.each<[string, Partial<Qcow2Options>, boolean]>([
    ["lazy_refcounts=off", {}, false],
    ["lazy_refcounts=off", { lazyRefcounts: true }, true],
    ["lazy_refcounts=on", { lazyRefcounts: false }, false],
    ["lazy_refcounts=on", { lazyRefcounts: undefined }, true],
    ["compat=0.10", {}, false],
  ])("%s, opened with %j: dirty after a flush: %s", async (create, options, dirty) => {
    const { file, disk } = await open(create, options);
    await disk.write(0, Buffer.alloc(KIB, 1));
    await disk.flush();
    expect(isDirty(file.bytes)).toBe(dirty);
    await disk[Symbol.asyncDispose]();
    await expectGood(file.bytes, (content) => expect(content[0]).toBe(1));
  });

  test("need version 3, and a word that is true or false", async () => {
    await expect(open("compat=0.10", { lazyRefcounts: true })).rejects.toThrow("at least qemu 1.1 compatibility level");
    await expect(open("", { lazyRefcounts: "on" as never })).rejects.toThrow("lazyRefcounts is true or false, not 'on'");
  });

  test("catch up when they are turned off, and can be turned on again", async () => {
    const { file, disk } = await open("lazy_refcounts=on");
    await disk.write(0, Buffer.alloc(KIB, 1));
    await disk.flush();
    await disk.reopen({ lazyRefcounts: false });
    expect(isDirty(file.bytes)).toBe(false);
    await expectGood(file.bytes, (content) => expect(content[0]).toBe(1));
    await disk.write(MIB, Buffer.alloc(KIB, 1));
    await disk.flush();
    expect(isDirty(file.bytes)).toBe(false);
    await disk.reopen({ lazyRefcounts: undefined });
    await disk.write(2 * MIB, Buffer.alloc(KIB, 1));
    await disk.flush();
    expect(isDirty(file.bytes)).toBe(true);
    const totals = await disk.check({ repair: "none" }, () => {});
    expect(totals).toMatchObject({ corruptions: 0, leaks: 0, errors: 0 });
    await disk[Symbol.asyncDispose]();
  });

  test("an image that is only read, or not changed, is never marked", async () => {
    const { file, disk } = await open("lazy_refcounts=on");
    await disk.read(0, Buffer.alloc(KIB));
    await disk.flush();
    await disk[Symbol.asyncDispose]();
    expect(file.log.filter(({ kind }) => kind === "write")).toEqual([]);
  });

  test("the mark stays where closing fails", async () => {
    for (let failing = 0; ; failing++) {
      const { file, disk } = await open("lazy_refcounts=on,cluster_size=4k");
      await disk.write(0, Buffer.alloc(64 * KIB, 1));
      await disk.flush();
      file.operationsUntilFailure = failing;
      const failed = await disk[Symbol.asyncDispose]().then(
        () => false,
        () => true,
      );
      if (!failed) {
        expect(failing).toBeGreaterThan(3);
        return;
      }
      const path = folder.file("failed");
      writeFileSync(path, file.bytes);
      if (!isDirty(file.bytes)) expectClean(path);
      else qemuImg("check", "-q", "-f", "qcow2", "-r", "all", path);
      expect(
        qemuContent(path)
          .subarray(0, 64 * KIB)
          .equals(Buffer.alloc(64 * KIB, 1)),
      ).toBe(true);
    }
  });

  test("a power cut at any moment leaves the mark, or an image that needs none", async () => {
    const original = readFileSync(qemuCreate(folder.file("cut"), "4M", "lazy_refcounts=on,cluster_size=4k"));
    const file = new RecordedFile(original);
    {
      await using graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
      await using disk = await graph.open({ driver: "qcow2", file: { driver: "memory" } });
      for (const at of [0, MIB, 3 * MIB]) {
        await disk.write(at, Buffer.alloc(20 * KIB, 1));
        await disk.flush();
      }
    }
    const seeded = new Seeded(3);
    const seen = { clean: 0, dirty: 0 };
    for (let length = 0; length <= file.log.length; length++) {
      for (let round = 0; round < 8; round++) {
        const bytes = file.cut(original, length, () => seeded.once(2));
        seen[isDirty(bytes) ? "dirty" : "clean"]++;
        if (!isDirty(bytes)) expect(await corruptionsIn(bytes), `after ${length} of ${file.log.length}`).toBe(0);
      }
    }
    expect(seen.clean).toBeGreaterThan(20);
    expect(seen.dirty).toBeGreaterThan(20);
  });

  test("are what a new image can be made with", async () => {
    await using graph = hostGraph();
    await graph.create({
      driver: "qcow2",
      filename: folder.file("ours"),
      size: MIB,
      values: { lazy_refcounts: true, preallocation: "metadata" },
    });
    expectClean(folder.file("ours"));
    expect(qemuImg("info", folder.file("ours"))).toContain("lazy refcounts: true");
  });
});
