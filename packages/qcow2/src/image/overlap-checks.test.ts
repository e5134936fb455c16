/** Every overlap check, by template and alone: what QEMU refuses is refused, what it lets through is let through. */

import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { assert, BlockError } from "@coblock/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OverlapChecks, type OverlapTemplate, type Qcow2Options } from "../index.ts";
import {
  contentOf,
  expectClean,
  hostGraph,
  patch,
  places,
  qemuContent,
  qemuCreate,
  qemuImg,
  qemuIo,
  TemporaryDirectory,
} from "../test/images.ts";

const CLUSTER = 65_536;
const COPIED = 2n ** 63n;
const ADDRESS = 2n ** 56n;
const BITMAPS_EXTENSION = 0x2385_2875;

const folder = new TemporaryDirectory();
afterAll(() => folder[Symbol.dispose]());

/** Has all that can be lain over: a snapshot with its own L2 table, and a bitmap. */
const sound = folder.file("sound");
beforeAll(() => {
  qemuCreate(sound, "4M");
  qemuIo(sound, `write -P 1 0 ${2 * CLUSTER}`);
  qemuImg("snapshot", "-c", "before", sound);
  qemuIo(sound, `write -P 2 0 ${2 * CLUSTER}`);
  qemuImg("bitmap", "--add", sound, "changes");
});

type Name = Exclude<keyof OverlapChecks, "template">;
type Find = (bytes: Buffer) => number;

const address = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64BE(at) % ADDRESS);
const snapshotTable: Find = (bytes) => address(bytes, 64);
const inactiveL1: Find = (bytes) => address(bytes, snapshotTable(bytes));

function bitmapDirectory(bytes: Buffer): number {
  let at = bytes.readUInt32BE(100);
  while (bytes.readUInt32BE(at) !== BITMAPS_EXTENSION) at += 8 + Math.ceil(bytes.readUInt32BE(at + 4) / 8) * 8;
  return address(bytes, at + 8 + 16);
}

/** The header has no row: no entry of a table can say offset 0. */
const KINDS: readonly (readonly [name: Name, qemuName: string, kind: string, find: Find])[] = [
  ["activeL1", "active-l1", "active L1 table", (bytes) => places(bytes).l1],
  ["activeL2", "active-l2", "active L2 table", (bytes) => places(bytes).l2],
  ["refcountTable", "refcount-table", "refcount table", (bytes) => places(bytes).refcountTable],
  ["refcountBlock", "refcount-block", "refcount block", (bytes) => places(bytes).refcountBlock],
  ["snapshotTable", "snapshot-table", "snapshot table", snapshotTable],
  ["inactiveL1", "inactive-l1", "inactive L1 table", inactiveL1],
  ["inactiveL2", "inactive-l2", "inactive L2 table", (bytes) => address(bytes, inactiveL1(bytes))],
  ["bitmapDirectory", "bitmap-directory", "bitmap directory", bitmapDirectory],
];

/** The second guest cluster is mapped to where `find` says. */
function mappedOver(path: string, find: Find): string {
  copyFileSync(sound, path);
  const bytes = readFileSync(path);
  bytes.writeBigUInt64BE(COPIED + BigInt(find(bytes)), places(bytes).l2 + 8);
  writeFileSync(path, bytes);
  return path;
}

function qemuRefuses(path: string, words: string, offset: number = CLUSTER): boolean {
  const { stdout } = spawnSync(
    "qemu-io",
    ["--image-opts", `driver=qcow2,${words}file.filename=${path}`, "-c", `write -P 3 ${offset} 512`, "-c", "flush"],
    {
      encoding: "utf8",
    },
  );
  const refused = /write failed|Input\/output error/.test(stdout);
  expect(refused || stdout.includes("wrote 512/512 bytes")).toBe(true);
  return refused;
}

async function weRefuse(path: string, option: Qcow2Options["overlapCheck"], kind: string): Promise<boolean> {
  await using graph = hostGraph();
  const disk = await graph.open({ driver: "qcow2", file: path, overlapCheck: option });
  const failure = await disk.write(CLUSTER, Buffer.alloc(512, 3)).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure === undefined) return false;
  assert(failure instanceof BlockError, "writes fail with errors of ours");
  expect(failure.code).toBe("CORRUPT_IMAGE");
  expect(failure.message).toContain(`over the ${kind}`);
  expect(failure.message).not.toContain("\n");
  await expect(disk.write(0, Buffer.alloc(512))).rejects.toBe(failure);
  await expect(disk[Symbol.asyncDispose]()).rejects.toBe(failure);
  expect(readFileSync(path).readUInt8(79)).toBe(2);
  return true;
}

describe.each(KINDS)("%s", (name, qemuName, kind, find) => {
  test.each<[words: string, option: Qcow2Options["overlapCheck"]]>([
    ["", undefined],
    ["overlap-check=none,", "none"],
    ["overlap-check=constant,", "constant"],
    ["overlap-check=cached,", { template: "cached" }],
    ["overlap-check=all,", "all"],
    [`overlap-check.template=none,overlap-check.${qemuName}=on,`, { template: "none", [name]: true }],
    [`overlap-check.template=all,overlap-check.${qemuName}=off,`, { template: "all", [name]: false }],
    [`overlap-check.${qemuName}=off,`, { [name]: false }],
  ])("'%s' as in QEMU", async (words, option) => {
    const theirs = qemuRefuses(mappedOver(folder.file("theirs"), find), words);
    expect(await weRefuse(mappedOver(folder.file("ours"), find), option, kind)).toBe(theirs);
  });

  test("can be turned on and off while the image is open", async () => {
    const path = mappedOver(folder.file("reopened"), find);
    await using graph = hostGraph();
    const disk = await graph.open({ driver: "qcow2", file: path, overlapCheck: "none" });
    await disk.write(0, Buffer.alloc(512, 3));
    await disk.reopen({ overlapCheck: { template: "none", [name]: true } });
    await expect(disk.write(CLUSTER, Buffer.alloc(512, 3))).rejects.toThrow(`over the ${kind}`);
    await expect(disk[Symbol.asyncDispose]()).rejects.toThrow(`over the ${kind}`);
  });
});

/** A disk whose second L2 table is not there yet, and a snapshot that is said to have the active L1 table for its own. */
function snapshotOverActiveL1(path: string): string {
  qemuCreate(path, 600 * 2 ** 20);
  qemuImg("snapshot", "-c", "before", path);
  patch(path, (bytes) => void bytes.writeBigUInt64BE(BigInt(places(bytes).l1), snapshotTable(bytes)));
  return path;
}

const activeL1 = (bytes: Buffer): Buffer => bytes.subarray(places(bytes).l1, places(bytes).l1 + 16);

describe("an L1 table that is about to be written where a snapshot's is", () => {
  const offset = 560 * 2 ** 20;

  test.each<[words: string, option: Qcow2Options["overlapCheck"]]>([
    ["", undefined],
    ["overlap-check=constant,", "constant"],
    ["overlap-check.inactive-l1=off,", { inactiveL1: false }],
    ["overlap-check.template=none,overlap-check.inactive-l1=on,", { template: "none", inactiveL1: true }],
  ])("'%s' as in QEMU", async (words, overlapCheck) => {
    const theirs = qemuRefuses(snapshotOverActiveL1(folder.file("theirs")), words, offset);
    const path = snapshotOverActiveL1(folder.file("ours"));
    await using graph = hostGraph();
    const disk = await graph.open({ driver: "qcow2", file: path, overlapCheck });
    const before = activeL1(readFileSync(path));
    await disk.write(offset, Buffer.alloc(512, 3));
    const ours = await disk.flush().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(ours !== undefined).toBe(theirs);
    if (ours === undefined) return await disk[Symbol.asyncDispose]();
    assert(ours instanceof BlockError, "flushes fail with errors of ours");
    expect(ours.code).toBe("CORRUPT_IMAGE");
    expect(ours.message).toContain("an active L1 table at offset 0x30000 lies over the inactive L1 table");
    await expect(disk.write(0, Buffer.alloc(512))).rejects.toBe(ours);
    await expect(disk[Symbol.asyncDispose]()).rejects.toBe(ours);
    const bytes = readFileSync(path);
    expect(bytes.readUInt8(79)).toBe(2);
    expect(activeL1(bytes)).toEqual(before);
  });
});

test.each<[option: unknown, message: string]>([
  ["most", "Unsupported value 'most' for overlapCheck: it is one of none, constant, cached, all"],
  [{ template: 3 }, "Unsupported value 3 for overlapCheck"],
  [{ l3: true }, "overlapCheck has no 'l3'; it has template, mainHeader"],
  [{ activeL1: "on" }, "overlapCheck.activeL1 is true or false, not 'on'"],
])("%j is refused", async (overlapCheck, message) => {
  await using graph = hostGraph();
  const opening = graph.open({ driver: "qcow2", file: sound, overlapCheck: overlapCheck as OverlapTemplate });
  await expect(opening).rejects.toThrow(message);
  await expect(opening).rejects.toMatchObject({ code: "INVALID_OPTION" });
});

test("nothing that is right is refused with all checks on", async () => {
  const path = folder.file("used");
  qemuCreate(path, "4M", "cluster_size=4k");
  await using graph = hostGraph();
  const disk = await graph.open({ driver: "qcow2", file: path, overlapCheck: "all", cacheSize: 40_960 });
  for (let round = 1; round <= 6; round++) {
    await disk.write(round * 5000, Buffer.alloc(1_500_000, round));
    await disk.snapshots.create(`round ${round}`);
    await disk.writeZeroes(round * 300_000, 200_000, { mayUnmap: true });
    await disk.write(3_000_000 + round * 1000, Buffer.alloc(5000, round));
    if (round === 3) await disk.snapshots.delete("round 1");
    if (round === 4) await disk.snapshots.apply("round 2");
    await disk.write(2_000_000, Buffer.alloc(100_000, round));
    await disk.flush();
  }
  await disk.snapshots.delete("round 2");
  await disk.snapshots.delete("round 5");
  await disk.write(0, Buffer.alloc(4_000_000, 9));
  const content = await contentOf(disk);
  await disk[Symbol.asyncDispose]();
  expectClean(path);
  expect(qemuContent(path).equals(content)).toBe(true);
});
