/** A repair that stops half-way: one failed write or flush at every moment, and power cuts. The image is never worse than before, and can be repaired. */

import { readFileSync, writeFileSync } from "node:fs";
import { BlockError, BlockGraph, type BlockNode, type CheckResult, rawDriver } from "@coblock/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { qcow2Driver } from "../index.ts";
import { expectClean, places, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";

const COPIED = 2n ** 63n;
type Damage = (bytes: Buffer, at: ReturnType<typeof places>) => void;

const DAMAGES: readonly [name: string, damage: Damage][] = [
  ["leaks", (bytes, { l2 }) => bytes.fill(0, l2, l2 + 64)],
  ["refcounts that are too low", (bytes, { refcountBlock }) => bytes.fill(0, refcountBlock, refcountBlock + 300)],
  ["no refcounts", (bytes, { refcountTable, clusterSize }) => bytes.fill(0, refcountTable, refcountTable + clusterSize)],
  [
    "flags",
    (bytes, { l2, l1 }) => [l1, l2, l2 + 8, l2 + 80].forEach((at) => bytes.writeBigUInt64BE(bytes.readBigUInt64BE(at) ^ COPIED, at)),
  ],
  ["a cluster that is used twice", (bytes, { l2 }) => bytes.writeBigUInt64BE(bytes.readBigUInt64BE(l2), l2 + 8)],
  ["space for zeros between clusters", (bytes, { l2 }) => bytes.writeBigUInt64BE(bytes.readBigUInt64BE(l2 + 24 * 8) ^ 512n, l2 + 24 * 8)],
  [
    "a snapshot table without sizes, leaks, and refcounts behind the end of the file",
    (bytes, { l2 }) => {
      const at = Number(bytes.readBigUInt64BE(64));
      const extra = bytes.readUInt32BE(at + 36);
      bytes.copyWithin(at + 40, at + 40 + extra, at + 40 + extra + bytes.readUInt16BE(at + 12) + bytes.readUInt16BE(at + 14));
      bytes.writeUInt32BE(0, at + 36);
      const { refcountBlock } = places(bytes);
      bytes.writeUInt16BE(3, refcountBlock + (Number(bytes.readBigUInt64BE(l2) % 2n ** 56n) / 1024) * 2);
      bytes.writeUInt16BE(2, refcountBlock + Math.ceil(bytes.length / 1024) * 2);
    },
  ],
];

let folder: TemporaryDirectory;
let sound: Buffer;
beforeAll(() => {
  folder = new TemporaryDirectory();
  const file = qemuCreate(folder.file("sound"), "1M", "cluster_size=1024");
  qemuIo(file, "write -P 1 0 20k", "write -P 2 500k 9k", "write -P 4 23k 3k", "write -z 24k 1k");
  qemuImg("snapshot", "-c", "one", file);
  qemuIo(file, "write -P 3 4k 4k", "write -P 4 24k 1k", "write -z 24k 1k");
  sound = readFileSync(file);
});
afterAll(() => folder[Symbol.dispose]());

async function withDisk<T>(
  file: RecordedFile,
  how: { readonly readOnly?: boolean; readonly forCheck?: boolean },
  use: (disk: BlockNode) => Promise<T>,
) {
  await using graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
  await using disk = await graph.open({ driver: "qcow2", file: { driver: "memory" } }, how);
  return await use(disk);
}

/** `undefined`: it failed, as it was told to; closing may fail again for the same reason. */
async function repair(file: RecordedFile): Promise<CheckResult | undefined> {
  const graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
  let result: CheckResult | undefined;
  const failures: unknown[] = [];
  const keep = (error: unknown): number => failures.push(error);
  const disk = await graph.open({ driver: "qcow2", file: { driver: "memory" } }, { forCheck: true });
  await disk.check({ repair: "all" }).then((done) => (result = done), keep);
  await disk[Symbol.asyncDispose]().catch(keep);
  await graph[Symbol.asyncDispose]().catch(keep);
  for (const failure of failures) expect(failure).toBeInstanceOf(BlockError);
  return result;
}

function corruptionsOf(bytes: Uint8Array): Promise<number | undefined> {
  return withDisk(
    new RecordedFile(bytes),
    { readOnly: true, forCheck: true },
    async (disk) => (await disk.check({ repair: "none" }))?.corruptions,
  );
}

/** Cluster by cluster; one that cannot be read is shown as zeros, which is what it is repaired to. */
function diskOf(bytes: Uint8Array): Promise<Buffer> {
  return withDisk(new RecordedFile(bytes), { readOnly: true }, async (disk) => {
    const content = Buffer.alloc(disk.size);
    for (let at = 0; at < disk.size; at += 1024) {
      const cluster = Buffer.alloc(1024);
      await disk.read(at, cluster).then(
        () => content.set(cluster, at),
        (error: unknown) => expect(error).toBeInstanceOf(BlockError),
      );
    }
    return content;
  });
}

describe.each(DAMAGES)("%s", (_name, damage) => {
  const damaged = (): Buffer => {
    const bytes = Buffer.from(sound);
    damage(bytes, places(bytes));
    return bytes;
  };

  /** What a repair left when it stopped: no more corruption than before, the same disk, and all that was asked for once it is repaired again. */
  async function expectNoWorse(bytes: Buffer, before: { readonly corruptions: number; readonly disk: Buffer }): Promise<void> {
    expect(await corruptionsOf(bytes)).toBeLessThanOrEqual(before.corruptions);
    expect((await diskOf(bytes)).equals(before.disk)).toBe(true);
    const again = new RecordedFile(bytes);
    expect(await repair(again)).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
    expect((await diskOf(again.bytes)).equals(before.disk)).toBe(true);
  }

  it("a write or flush that fails, at every moment", async () => {
    const original = damaged();
    const before = { corruptions: (await corruptionsOf(original)) ?? 0, disk: await diskOf(original) };
    const whole = new RecordedFile(original);
    expect(await repair(whole)).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
    expect(whole.log.length).toBeGreaterThan(0);
    for (let until = 0; until < whole.log.length; until++) {
      const file = new RecordedFile(original);
      file.operationsUntilFailure = until;
      expect(await repair(file)).toBeUndefined();
      await expectNoWorse(file.bytes, before);
    }
    const repaired = folder.file("repaired");
    writeFileSync(repaired, whole.bytes);
    expectClean(repaired);
  });

  it("a power cut, at every moment", async () => {
    const original = damaged();
    const before = { corruptions: (await corruptionsOf(original)) ?? 0, disk: await diskOf(original) };
    const whole = new RecordedFile(original);
    await repair(whole);
    const random = new Seeded(1);
    for (let length = 0; length <= whole.log.length; length++)
      for (let round = 0; round < 3; round++)
        await expectNoWorse(
          whole.cut(original, length, () => random.once(2)),
          before,
        );
  });
});

it("an image that was not closed cleanly, whose repair stops half-way, stays marked", async () => {
  const original = Buffer.from(sound);
  DAMAGES[1]?.[1](original, places(original));
  original.writeBigUInt64BE(1n, 72);
  const whole = new RecordedFile(original);
  await repair(whole);
  expect(whole.bytes.readBigUInt64BE(72)).toBe(0n);
  for (let until = 0; until < whole.log.length - 2; until++) {
    const file = new RecordedFile(original);
    file.operationsUntilFailure = until;
    await repair(file);
    expect(file.bytes.readBigUInt64BE(72)).toBe(1n);
  }
});
