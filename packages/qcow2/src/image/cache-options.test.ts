/** Cache options: what `qemu-io` accepts and refuses, so do we; and images are right whatever is asked for. */

import { spawnSync } from "node:child_process";
import { BlockError } from "@coblock/core";
import { describe, expect, test } from "vitest";
import { contentOf, expectClean, hostGraph, qemuContent, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "../test/images.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Our names and QEMU's, and what is tried of each. */
const SIZES = [
  ["cacheSize", "cache-size", [undefined, 0, MIB, 8 * MIB]],
  ["l2CacheSize", "l2-cache-size", [undefined, 0, MIB, 8 * MIB + 1]],
  ["refcountCacheSize", "refcount-cache-size", [undefined, 0, 2 * MIB, 8 * MIB + 1]],
] as const;

const OTHERS = [
  ...[0, 256, 512, 1000, 4096, 64 * KIB, 128 * KIB].map((value) => ["l2CacheEntrySize", "l2-cache-entry-size", value] as const),
  ...[0, 1, 600, 2 ** 32 - 1, 2 ** 32].map((value) => ["cacheCleanInterval", "cache-clean-interval", value] as const),
];

interface Combination {
  readonly ours: Readonly<Record<string, number>>;
  readonly theirs: string;
}

function combinations(): Combination[] {
  let all: Combination[] = [{ ours: {}, theirs: "" }];
  for (const [our, their, values] of SIZES) {
    all = all.flatMap(({ ours, theirs }) =>
      values.map((value) =>
        value === undefined ? { ours, theirs } : { ours: { ...ours, [our]: value }, theirs: `${theirs},${their}=${value}` },
      ),
    );
  }
  return [...all, ...OTHERS.map(([our, their, value]) => ({ ours: { [our]: value }, theirs: `,${their}=${value}` }))];
}

test("are accepted and refused as QEMU does", async () => {
  using directory = new TemporaryDirectory();
  const file = qemuCreate(directory.file("image.qcow2"), "1T");
  await using graph = hostGraph();
  const counts = { accepted: 0, refused: 0 };
  for (const { ours, theirs } of combinations()) {
    const words = ["--image-opts", "-r", "-c", "read -q 0 512", `driver=qcow2,file.driver=file,file.filename=${file}${theirs}`];
    const { status, stderr } = spawnSync("qemu-io", words, { encoding: "utf8" });
    const accepted = status === 0;
    const opened = graph.open({ driver: "qcow2", file, readOnly: true, ...ours });
    const outcome = await opened.then(
      async (node) => {
        await node[Symbol.asyncDispose]();
        return "accepted";
      },
      (error: unknown) => (error instanceof BlockError ? error.code : error),
    );
    expect(outcome, `${theirs}: qemu-io says: ${stderr}`).toBe(accepted ? "accepted" : "INVALID_OPTION");
    counts[accepted ? "accepted" : "refused"]++;
  }
  expect(counts).toEqual({ accepted: 35, refused: 41 });
});

describe("slices of L2 tables", () => {
  test.each([
    ["512 bytes, for two slices", "cluster_size=4k", { l2CacheEntrySize: 512, l2CacheSize: 0 }],
    ["a quarter of a table", "cluster_size=2k", { l2CacheEntrySize: 512 }],
    ["with subclusters", "cluster_size=16k,extended_l2=on", { l2CacheEntrySize: 1024, l2CacheSize: 4096, cacheCleanInterval: 1 }],
    ["in version 2", "cluster_size=64k,compat=0.10", { l2CacheEntrySize: 4096, l2CacheSize: 16 * KIB }],
  ])("%s: the image holds what was written", async (_, create, options) => {
    using directory = new TemporaryDirectory();
    const size = 24 * MIB;
    const file = qemuCreate(directory.file("image.qcow2"), size, create);
    qemuIo(file, "write -q -P 0x11 0 3M", "write -q -c -P 0x22 5M 64k");
    const random = new Seeded(7);
    const expected = qemuContent(file);
    await using graph = hostGraph();
    const disk = await graph.open({ driver: "qcow2", file, ...options });
    for (let round = 0; round < 150; round++) {
      const offset = random.below(size - 256 * KIB);
      const bytes = random.bytes(1 + random.below(256 * KIB));
      if (random.once(5)) {
        await disk.writeZeroes(offset, bytes.length, { mayUnmap: true });
        bytes.fill(0);
      } else await disk.write(offset, bytes);
      bytes.copy(expected, offset);
    }
    expect((await contentOf(disk)).equals(expected)).toBe(true);
    await disk[Symbol.asyncDispose]();
    expectClean(file);
    expect(qemuContent(file).equals(expected)).toBe(true);
  });

  test("a table that a snapshot shares is copied whole", async () => {
    using directory = new TemporaryDirectory();
    const file = qemuCreate(directory.file("image.qcow2"), "4M", "cluster_size=4k");
    qemuIo(file, "write -q -P 0x11 0 2M");
    qemuImg("snapshot", "-c", "before", file);
    const before = qemuContent(file);
    await using graph = hostGraph();
    const disk = await graph.open({ driver: "qcow2", file, l2CacheEntrySize: 512, l2CacheSize: 0 });
    await disk.write(MIB, Buffer.alloc(4096, 0x33));
    await disk[Symbol.asyncDispose]();
    expectClean(file);
    const after = Buffer.from(before).fill(0x33, MIB, MIB + 4096);
    expect(qemuContent(file).equals(after)).toBe(true);
    expect(qemuContent(file, "-l", "snapshot.name=before").equals(before)).toBe(true);
  });
});
