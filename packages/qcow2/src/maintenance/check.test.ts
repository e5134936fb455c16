import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { type CheckResult, type Finding } from "@coblock/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostGraph, patch, places, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "../test/images.ts";

let folder: TemporaryDirectory;
beforeAll(() => {
  folder = new TemporaryDirectory();
});
afterAll(() => folder[Symbol.dispose]());

interface Outcome {
  readonly findings: readonly string[];
  readonly counts: object;
}

/** Lines that `qemu-img check` prints about the whole, not about one place. */
const SUMMARY = /errors were found|leaked clusters were found|internal errors|^Data may be|^This means|Check failed|Image is corrupt|^$/;

function theirs(file: string): Outcome | undefined {
  const { stderr } = spawnSync("qemu-img", ["check", "-f", "qcow2", file], { encoding: "utf8", maxBuffer: 2 ** 28 });
  const { stdout } = spawnSync("qemu-img", ["check", "-f", "qcow2", "--output=json", file], { encoding: "utf8", maxBuffer: 2 ** 28 });
  if (!stdout.startsWith("{")) return undefined;
  const json = JSON.parse(stdout) as Record<string, number>;
  return {
    findings: stderr.split("\n").filter((line) => !SUMMARY.test(line)),
    counts: {
      errors: json["check-errors"],
      corruptions: json["corruptions"] ?? 0,
      leaks: json["leaks"] ?? 0,
      imageEndOffset: json["image-end-offset"],
      clusters: {
        total: json["total-clusters"],
        allocated: json["allocated-clusters"] ?? 0,
        fragmented: json["fragmented-clusters"] ?? 0,
        compressed: json["compressed-clusters"] ?? 0,
      },
    },
  };
}

async function ours(file: string): Promise<Outcome & { readonly reported: readonly Finding[] }> {
  await using graph = hostGraph();
  await using disk = await graph.open({ driver: "qcow2", file, backing: null, readOnly: true });
  const reported: Finding[] = [];
  const result: CheckResult | undefined = await disk.check({ repair: "none" }, (finding) => reported.push(finding));
  const { errors, corruptions, leaks, imageEndOffset, clusters } = result ?? {};
  return {
    findings: reported.flatMap(({ what }) => what.split("\n")),
    counts: { errors, corruptions, leaks, imageEndOffset, clusters },
    reported,
  };
}

const KINDS: readonly [kind: string, options: string][] = [
  ["plain", "cluster_size=4096"],
  ["small", "cluster_size=512"],
  ["extended", "extended_l2=on,cluster_size=16384"],
  ["narrow", "cluster_size=4096,refcount_bits=1"],
  ["byte", "cluster_size=8192,refcount_bits=8"],
  ["wide", "cluster_size=4096,refcount_bits=64"],
  ["version 2", "compat=0.10,cluster_size=4096"],
];

function makeImage(kind: string, options: string): string {
  const file = qemuCreate(folder.file(kind), "8M", options);
  qemuIo(file, "write 0 40k", "write -z 48k 8k", "write -c 112k 16k", "write -c 128k 16k", "write 2M 20k", "write 6M 4k");
  if (kind !== "narrow") {
    qemuImg("snapshot", "-c", "one", file);
    qemuIo(file, "write 4k 12k");
    qemuImg("snapshot", "-c", "two", file);
    qemuIo(file, "write 8k 8k");
  }
  if (kind !== "version 2") qemuImg("bitmap", "--add", file, "nightly");
  return file;
}

/** Where metadata lies that damage is most telling in: tables, and the entries in use. */
function targetsOf(bytes: Buffer): readonly (readonly [offset: number, length: number])[] {
  const { clusterSize, l1, l2, refcountTable, refcountBlock } = places(bytes);
  return [
    [l1, 16],
    [l2, Math.min(clusterSize, 600)],
    [l2, clusterSize],
    [refcountTable, 16],
    [refcountBlock, Math.min(clusterSize, 128)],
  ];
}

function damage(bytes: Buffer, random: Seeded): void {
  const targets = targetsOf(bytes);
  const anywhere = (): number => {
    const [offset, length] = random.pick(targets);
    return Math.min(bytes.length - 8, offset + random.below(length / 8) * 8);
  };
  const at = anywhere();
  const old = bytes.readBigUInt64BE(at);
  const value = random.pick([
    old ^ (1n << BigInt(random.below(64))),
    bytes.readBigUInt64BE(anywhere()),
    BigInt(random.below(2 ** 20)) << BigInt(random.below(44)),
    old ^ (1n << 63n),
    0n,
  ]);
  bytes.writeBigUInt64BE(value, at);
}

describe("check finds what qemu-img check finds, in its words and order, and counts the same", () => {
  it.each(KINDS)("in sound and damaged images: %s", async (kind, options) => {
    const sound = readFileSync(makeImage(kind, options));
    const random = new Seeded(kind.length * 7);
    const file = folder.file(`${kind} damaged`);
    let found = 0;
    for (let round = 0; round < 14; round++) {
      const bytes = Buffer.from(sound);
      for (let change = 0; change < round % 4; change++) damage(bytes, random);
      writeFileSync(file, bytes);
      const expected = theirs(file);
      if (expected === undefined) continue;
      const { findings, counts } = await ours(file);
      expect(findings).toEqual(expected.findings);
      expect(counts).toEqual(expected.counts);
      found += findings.length;
    }
    expect(found).toBeGreaterThan(10);
  });

  it("in images with an external data file", async () => {
    const file = qemuCreate(folder.file("external"), "8M", `cluster_size=4096,data_file=${folder.file("external.data")}`);
    qemuIo(file, "write 0 128k", "write 1M 64k", "write -z 2M 64k");
    const sound = readFileSync(file);
    const entries: bigint[] = [0x10_0000n, 2n ** 62n, 2n ** 63n + 0x1000n, 2n ** 63n + 0x1200n, 2n ** 63n + 1n, 1n, 2n ** 63n];
    for (const entry of entries) {
      patch(file, () => {
        const bytes = Buffer.from(sound);
        bytes.writeBigUInt64BE(entry, places(bytes).l2 + 24);
        return bytes;
      });
      expect(await ours(file)).toMatchObject(theirs(file) ?? {});
    }
  });

  it("says of each finding where it is, what it means and what helps", async () => {
    const file = qemuCreate(folder.file("advice"), "1M");
    qemuIo(file, "write 0 128k");
    patch(file, (bytes) => {
      const { l2, refcountBlock } = places(bytes);
      bytes.writeBigUInt64BE(0n, l2);
      bytes.writeUInt16BE(0, refcountBlock + 6 * 2);
      return undefined;
    });
    const { reported } = await ours(file);
    expect(reported.map(({ severity, what, offset }) => [severity, what, offset])).toEqual([
      ["leak", "Leaked cluster 5 refcount=1 reference=0", 5 * 65_536],
      ["error", "ERROR cluster 6 refcount=0 reference=1", 6 * 65_536],
      ["error", "ERROR OFLAG_COPIED data cluster: l2_entry=8000000000060000 refcount=0", 4 * 65_536 + 8],
    ]);
    for (const { meaning, repair, risk } of reported) expect([meaning, repair, risk].every((text) => text.endsWith("."))).toBe(true);
  });

  it("sees what is still in memory of a writable image, and does not repair it in use", async () => {
    const file = qemuCreate(folder.file("writable"), "1M");
    await using graph = hostGraph();
    await using disk = await graph.open(file);
    await disk.write(0, Buffer.alloc(200_000, 1));
    expect(await disk.check({ repair: "none" })).toMatchObject({ errors: 0, corruptions: 0, leaks: 0, clusters: { allocated: 4 } });
    await expect(disk.check({ repair: "leaks" })).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    expect(await disk.check({ repair: "all", dryRun: true })).toMatchObject({ corruptionsFixed: 0, leaksFixed: 0 });
  });
});
