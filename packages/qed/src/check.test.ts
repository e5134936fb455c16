import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";

import type { CheckResult, Finding } from "@coblock/core";
import { describe, expect, test } from "vitest";

import { hostGraph, inMemory, qemuCheck, qemuImg, qemuIo, scriptedImage, seeded, TemporaryDirectory } from "./test/images.ts";

/** Clusters of 4 KiB, tables of two; 16 MiB, hence four L2 tables. */
const CLUSTER = 4096;
const L1 = CLUSTER;

/** An image of QEMU's with data and zero clusters in three L2 tables. */
function qemuImage(file: string): void {
  qemuImg("create", "-q", "-f", "qed", "-o", "cluster_size=4k,table_size=2", file, "16M");
  qemuIo(file, "write -P 1 0 100k", "write -P 2 4100k 8k", "write -z 200k 64k", "write -P 3 12M 300k", "write -P 4 160k 4k");
}

function words(file: string): { bytes: Buffer; read(offset: number): bigint; write(offset: number, value: bigint): void; save(): void } {
  const bytes = readFileSync(file);
  return {
    bytes,
    read: (offset) => bytes.readBigUInt64LE(offset),
    write: (offset, value) => bytes.writeBigUInt64LE(value, offset),
    save: () => writeFileSync(file, bytes),
  };
}

/** Our check of a file on the host. */
async function check(file: string, repair: "none" | "all" = "none"): Promise<{ result: CheckResult; findings: Finding[] }> {
  await using graph = hostGraph();
  await using disk = await graph.open(file, { readOnly: repair === "none" });
  const findings: Finding[] = [];
  const result = await disk.check({ repair }, (finding) => findings.push(finding));
  if (result === undefined) throw new Error("the driver has a check");
  return { result, findings };
}

/** The same counts from qemu-img, which leaves zeros out. */
function expectSame(result: CheckResult, file: string): void {
  const theirs = qemuCheck(file);
  expect({ errors: result.errors, corruptions: result.corruptions, leaks: result.leaks, ...result.clusters }).toEqual({
    errors: theirs["check-errors"],
    corruptions: theirs.corruptions ?? 0,
    leaks: theirs.leaks ?? 0,
    total: theirs["total-clusters"] ?? 0,
    allocated: theirs["allocated-clusters"] ?? 0,
    fragmented: theirs["fragmented-clusters"] ?? 0,
    compressed: 0,
  });
}

test("a sound image has no findings", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  qemuImage(file);
  const { result, findings } = await check(file);
  expect(findings).toEqual([]);
  expectSame(result, file);
});

describe("counts as qemu-img does, and says where", () => {
  test.each<[what: string, damage: (file: string) => void, expected: Partial<CheckResult>, pattern: RegExp]>([
    [
      "an L2 entry past the end",
      (file) => damageL2(file, 3, 2n ** 40n),
      { corruptions: 1, leaks: 1 },
      /^L2 entry 3 \(L1 entry 0\) at 0x[0-9a-f]+18 points to 0x10000000000, past the end/,
    ],
    ["an unaligned L2 entry", (file) => damageL2(file, 3, 0x3001n), { corruptions: 1, leaks: 1 }, /points to 0x3001, which is not aligned/],
    [
      "a cluster that is used twice",
      (file) => damageL2(file, 3, "other"),
      { corruptions: 1, leaks: 1 },
      /^The cluster of L2 entry 4 \(L1 entry 0\) uses the cluster at 0x[0-9a-f]+, which is used already$/,
    ],
    [
      "an L2 entry that leads to the L1 table",
      (file) => damageL2(file, 3, BigInt(L1)),
      { corruptions: 1, leaks: 1 },
      /^The cluster of L2 entry 3 \(L1 entry 0\) uses the cluster at 0x1000,/,
    ],
    [
      "an L1 entry past the end",
      (file) => damageL1(file, 1, 2n ** 62n),
      { corruptions: 1, leaks: 4 },
      /^L1 entry 1 at 0x1008 points to 0x4000000000000000, past the end/,
    ],
    [
      "an L2 table that two L1 entries lead to",
      (file) => damageL1(file, 2, "other"),
      { corruptions: 2 },
      /^The L2 table of L1 entry 2 uses/,
    ],
    ["an L2 entry behind the end of the disk", (file) => damageL1(file, 900, 7n), { corruptions: 1 }, /^L1 entry 900 at 0x2c20/],
    [
      "leaked clusters at the end",
      (file) => truncateSync(file, readFileSync(file).length + 3 * CLUSTER + 5),
      { leaks: 3 },
      /^3 leaked clusters$/,
    ],
  ])("%s", async (_what, damage, expected, pattern) => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImage(file);
    damage(file);
    const { result, findings } = await check(file);
    expect(result).toMatchObject(expected);
    expectSame(result, file);
    expect(findings.map((finding) => finding.what)).toContainEqual(expect.stringMatching(pattern));
    expect(findings.filter(({ severity }) => severity === "error").length).toBe(result.corruptions);
  });
});

function damageL2(file: string, index: number, value: bigint | "other"): void {
  const image = words(file);
  const l2 = Number(image.read(L1));
  image.write(l2 + index * 8, value === "other" ? image.read(l2 + (index + 1) * 8) : value);
  image.save();
}

function damageL1(file: string, index: number, value: bigint | "other"): void {
  const image = words(file);
  image.write(L1 + index * 8, value === "other" ? image.read(L1) : value);
  image.save();
}

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
  "any damage counts as with qemu-img, and is repaired to the same bytes (seed %i)",
  async (seed) => {
    using directory = new TemporaryDirectory();
    const random = seeded(seed);
    const file = directory.file("image.qed");
    qemuImage(file);
    const image = words(file);
    const clusters = image.bytes.length / CLUSTER;
    const tables = [0, 1, 3].map((index) => Number(image.read(L1 + index * 8)));
    const values = [0n, 1n, 2n, 4096n * 7n + 512n, 0xffff_ffff_ffff_f000n, 2n ** 63n];
    for (let count = 1 + random(12); count > 0; count--) {
      const value = values[random(values.length + 4)] ?? BigInt(random(clusters + 3) * CLUSTER);
      const table = random(5) === 0 ? L1 : (tables[random(tables.length)] ?? L1);
      image.write(table + random(table === L1 ? 6 : 100) * 8, value);
    }
    image.save();
    const { result } = await check(file);
    expectSame(result, file);

    const theirs = directory.file("theirs.qed");
    copyFileSync(file, theirs);
    try {
      qemuImg("check", "-q", "-f", "qed", "-r", "all", theirs);
    } catch {
      // What it cannot repair it tells by its exit code.
    }
    const repaired = await check(file, "all");
    expect(readFileSync(file).equals(readFileSync(theirs))).toBe(true);
    expect(result.corruptions).toBe(repaired.result.corruptions + repaired.result.corruptionsFixed);
    const again = await check(file);
    expect(again.result.corruptions).toBe(repaired.result.corruptions);
    expectSame(again.result, file);
  },
);

test("repairing leaks repairs all, as qemu-img does: QED has no other repair", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  qemuImage(file);
  damageL2(file, 3, 2n ** 40n);
  const theirs = directory.file("theirs.qed");
  copyFileSync(file, theirs);
  expect(() => qemuImg("check", "-q", "-f", "qed", "-r", "leaks", theirs)).toThrow(/Command failed/);
  await using graph = hostGraph();
  await using disk = await graph.open(file);
  expect(await disk.check({ repair: "leaks" })).toMatchObject({ corruptions: 0, leaks: 1, corruptionsFixed: 1, leaksFixed: 0 });
  expect(readFileSync(file).equals(readFileSync(theirs))).toBe(true);
});

test("a repaired entry is seen by those who have the image open", async () => {
  using directory = new TemporaryDirectory();
  const file = directory.file("image.qed");
  qemuImage(file);
  damageL2(file, 3, 2n ** 40n);
  await using graph = hostGraph();
  await using disk = await graph.open(file);
  const bytes = new Uint8Array(1);
  await expect(disk.read(3 * CLUSTER, bytes)).rejects.toMatchObject({ code: "CORRUPT_IMAGE" });
  expect(await disk.check({ repair: "all" })).toMatchObject({ corruptions: 0, corruptionsFixed: 1 });
  await disk.read(3 * CLUSTER, bytes);
  expect(bytes[0]).toBe(0);
});

test("what cannot be read is an error, and then leaks are not told", async () => {
  const { file, graph } = await scriptedImage({ size: 16 * 1024 * 1024 });
  await using disk = await graph.open(inMemory);
  await disk.write(0, new Uint8Array(CLUSTER).fill(1));
  await disk.write(8 * 1024 * 1024, new Uint8Array(CLUSTER).fill(1));
  const l2 = Number(new DataView(file.content.buffer).getBigUint64(L1, true));
  file.script = ({ kind, offset }) => {
    if (kind === "read" && offset === l2) throw new Error("the disk is away");
  };
  const findings: Finding[] = [];
  expect(await disk.check({ repair: "none" }, (finding) => findings.push(finding))).toMatchObject({ errors: 1, corruptions: 0, leaks: 0 });
  expect(findings.map(({ what }) => what)).toEqual([expect.stringContaining("The L2 table of L1 entry 0 cannot be read at 0x")]);
  file.script = () => {};
  await disk[Symbol.asyncDispose]();
  await graph[Symbol.asyncDispose]();
});

describe("an image with NEED_CHECK, opened for writing", () => {
  test("loses entries that lead nowhere, and the mark", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImage(file);
    damageL2(file, 3, 2n ** 40n);
    const image = words(file);
    image.write(16, 2n);
    image.save();
    await using graph = hostGraph();
    await (await graph.open(file))[Symbol.asyncDispose]();
    expect(words(file).read(16)).toBe(0n);
    expect(qemuCheck(file)).toMatchObject({ "check-errors": 0, leaks: 1 });
  });

  test("is refused where damage remains, keeps the mark, and can be read", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImage(file);
    damageL2(file, 3, "other");
    const image = words(file);
    image.write(16, 2n);
    image.save();
    await using graph = hostGraph();
    const opening = graph.open(file);
    await expect(opening).rejects.toMatchObject({ code: "CORRUPT_IMAGE" });
    await expect(opening).rejects.toThrow("1 errors that cannot be repaired and 0 places that cannot be read: open it read-only");
    expect(readFileSync(file).equals(image.bytes)).toBe(true);
    await using disk = await graph.open(file, { readOnly: true });
    await disk.read(0, new Uint8Array(100));
  });

  test("opened to be checked it is left as it is, until a repair finds it sound", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImage(file);
    damageL2(file, 3, 2n ** 40n);
    const image = words(file);
    image.write(16, 2n);
    image.save();
    await using graph = hostGraph();
    await (await graph.open(file, { forCheck: true }))[Symbol.asyncDispose]();
    expect(readFileSync(file).equals(image.bytes)).toBe(true);
    await using disk = await graph.open(file, { forCheck: true });
    expect(await disk.check({ repair: "none" })).toMatchObject({ corruptions: 1 });
    expect((await disk.info()).dirty).toBe(true);
    expect(await disk.check({ repair: "all" })).toMatchObject({ corruptions: 0, corruptionsFixed: 1 });
    expect((await disk.info()).dirty).toBe(false);
    expect(words(file).read(16)).toBe(0n);
  });
});
