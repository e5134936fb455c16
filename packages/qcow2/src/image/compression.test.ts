/** Compressed clusters, both ways: QEMU reads what is written here, and the other way round. */

import { statSync } from "node:fs";
import { createInflateRaw } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { InlineOffload, loadHostCodecs } from "@coblock/core";
import { contentOf, expectClean, hostGraph, qemuContent, qemuImg, Seeded, TemporaryDirectory } from "../test/images.ts";
import { ClusterCodec } from "./cluster-codec.ts";
import { nodeDeflate } from "./node-deflate.ts";
import { findNodeZstd } from "./node-zstd.ts";
import { looksRandom } from "./random-bytes.ts";

const KIB = 1024;
const folder = new TemporaryDirectory();
afterAll(() => folder[Symbol.dispose]());

/** Text, noise and zeros in runs that fit no cluster; ends within a cluster. */
function mixed(length: number): Buffer {
  const seeded = new Seeded(7);
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const run = Math.min(length - at, 1 + seeded.below(150 * KIB));
    const kind = seeded.below(3);
    if (kind === 0) seeded.bytes(run).copy(bytes, at);
    if (kind === 1) bytes.fill(`line ${seeded.below(1e9)} of a log that is written\n`, at, at + run);
    at += run;
  }
  return bytes;
}

const size = 3000 * KIB;
const content = mixed(size);

beforeAll(async () => {
  await using graph = hostGraph();
  await graph.create({ driver: "raw", filename: folder.file("content"), size });
  await using file = await graph.open({ driver: "raw", file: folder.file("content") });
  await file.write(0, content);
});

const KINDS = [
  "cluster_size=512",
  "cluster_size=4k,compat=0.10",
  "cluster_size=64k",
  "cluster_size=64k,extended_l2=on",
  "cluster_size=64k,refcount_bits=1",
  "cluster_size=2M",
  "cluster_size=1k,refcount_bits=2",
  "cluster_size=16k,refcount_bits=64,extended_l2=on",
  "cluster_size=512,refcount_bits=4,compression_type=zstd",
  "cluster_size=32k,refcount_bits=1,extended_l2=on,compression_type=zstd",
  "cluster_size=2M,refcount_bits=8,extended_l2=on",
  "cluster_size=4k,compression_type=zstd",
  "cluster_size=64k,compression_type=zstd",
  "cluster_size=2M,compression_type=zstd",
] as const;

describe.each(KINDS)("%s", (options) => {
  const values = Object.fromEntries(
    options.split(",").map((option) => {
      const [name = "", value = ""] = option.split("=");
      return [
        name,
        /^\d+[kM]?$/.test(value) ? Number.parseInt(value, 10) * (value.endsWith("k") ? KIB : value.endsWith("M") ? KIB * KIB : 1) : value,
      ];
    }),
  );
  if (values["extended_l2"] === "on") values["extended_l2"] = true as never;

  it("is written, and QEMU reads it", async () => {
    const file = folder.file("ours.qcow2");
    await using graph = hostGraph();
    await graph.create({ driver: "qcow2", filename: file, size, values });
    {
      await using disk = await graph.open({ driver: "qcow2", file });
      await disk.writeCompressed(0, content);
    }
    expectClean(file);
    expect(qemuContent(file).equals(content)).toBe(true);
    const theirs = folder.file("their-size.qcow2");
    qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", "-S", "0", "-o", options, folder.file("content"), theirs);
    // Both end somewhere within a cluster.
    expect(statSync(file).size).toBeLessThanOrEqual(statSync(theirs).size + Number(values["cluster_size"]));
  });

  it("is read as QEMU wrote it, whole and in part, and written over", async () => {
    const file = folder.file("theirs.qcow2");
    qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, folder.file("content"), file);
    const expected = Buffer.from(content);
    await using graph = hostGraph();
    {
      await using disk = await graph.open({ driver: "qcow2", file });
      expect((await contentOf(disk)).equals(content)).toBe(true);
      const part = Buffer.alloc(70_001);
      await disk.read(123_457, part);
      expect(part.equals(content.subarray(123_457, 123_457 + part.length))).toBe(true);
      await disk.write(200_001, Buffer.alloc(3000, 9));
      expected.fill(9, 200_001, 203_001);
    }
    expectClean(file);
    expect(qemuContent(file).equals(expected)).toBe(true);
  });
});

describe.each(["host", "node"] as const)("deflate of the %s", (where) => {
  const codec = async () => (where === "host" ? ((await loadHostCodecs()).deflate ?? nodeDeflate) : nodeDeflate);
  const text = Buffer.from(Array.from({ length: 9000 }, (_, index) => `${(index * 7919) % 1000} `).join("")).subarray(0, 32 * KIB);

  test("needs a window of 4 KiB to be read", async () => {
    const into = new Uint8Array(text.length);
    const length = await (await codec()).compress(text, into);
    // Small pieces make the decoder look back into its window instead of what it has written.
    const decoder = createInflateRaw({ windowBits: 12, chunkSize: 64 });
    const parts: Buffer[] = [];
    decoder.end(into.subarray(0, length));
    for await (const part of decoder) parts.push(part as Buffer);
    expect(Buffer.concat(parts).equals(text)).toBe(true);
  });

  test("says that there is no room, and goes on with the next unit", async () => {
    const { compress, decompress } = await codec();
    expect(await compress(new Seeded(1).bytes(4096), new Uint8Array(4095))).toBeUndefined();
    const into = new Uint8Array(4096);
    const length = await compress(Buffer.alloc(4096, 3), into);
    const out = new Uint8Array(4096);
    expect(await decompress(into.subarray(0, length), out)).toBe(4096);
    expect(out.every((byte) => byte === 3)).toBe(true);
    expect(await decompress(Buffer.alloc(100, 0xff), out)).toBe(0);
    expect(await decompress(into.subarray(0, length), out)).toBe(4096);
  });

  test("keeps units apart that are worked on at one time", async () => {
    const { compress, decompress } = await codec();
    const units = Array.from({ length: 40 }, (_, index) => Buffer.alloc(20_000, `unit ${index} `));
    const restored = await Promise.all(
      units.map(async (unit) => {
        const into = new Uint8Array(unit.length);
        const out = Buffer.alloc(unit.length);
        await decompress(into.subarray(0, await compress(unit, into)), out);
        return out;
      }),
    );
    expect(restored.every((unit, index) => unit.equals(units[index] ?? unit.subarray(1)))).toBe(true);
  });
});

/** With COBLOCK_HOST_CALLS as `value` says; `undefined`: not there. */
async function withHostCalls<Result>(value: string | undefined, work: () => Promise<Result>): Promise<Result> {
  const before = process.env["COBLOCK_HOST_CALLS"];
  const set = (next: string | undefined): void => {
    if (next === undefined) delete process.env["COBLOCK_HOST_CALLS"];
    else process.env["COBLOCK_HOST_CALLS"] = next;
  };
  set(value);
  try {
    return await work();
  } finally {
    set(before);
  }
}

const nodeHasZstd = findNodeZstd() !== undefined;

describe.each(nodeHasZstd ? (["host", "node"] as const) : (["host"] as const))("zstd of the %s", (where) => {
  const offload = new InlineOffload();
  const codec = new ClusterCodec({ nodeName: "n", fileName: "f", offload }, 1);
  const unit = Buffer.alloc(64 * KIB, "a unit that repeats itself ");
  const hostCalls = where === "host" ? undefined : "off";
  const encode = async (): Promise<Uint8Array> => (await withHostCalls(hostCalls, () => codec.encode(unit))) ?? unit;
  const decode = (stored: Uint8Array, into: Uint8Array, offset = 0): Promise<void> =>
    withHostCalls(hostCalls, () => codec.decode(stored, into, offset));

  test("reads past the end of a frame and past the end of a unit no further than it must", async () => {
    const stored = await encode();
    const into = Buffer.alloc(unit.length);
    await decode(Buffer.concat([stored, Buffer.alloc(600, 0xa5)]), into);
    expect(into.equals(unit)).toBe(true);
    const start = Buffer.alloc(100);
    await decode(stored, start);
    expect(start.equals(unit.subarray(0, 100))).toBe(true);
    const short = Buffer.alloc(10);
    await decode(stored, short);
    expect(short.equals(unit.subarray(0, 10))).toBe(true);
  });

  test("is read by the library of the host", async () => {
    const into = Buffer.alloc(unit.length);
    await withHostCalls(undefined, async () => codec.decode(await encode(), into, 0));
    expect(into.equals(unit)).toBe(true);
  });

  test("says that there is no room", async () => {
    const noise = new Seeded(3).bytes(unit.length);
    expect(await withHostCalls(hostCalls, () => codec.encode(noise))).toBeUndefined();
  });

  test.each([
    ["that ends early", (stored: Uint8Array) => stored.subarray(0, stored.length - 6)],
    ["that is no frame", (stored: Uint8Array) => new Uint8Array(stored.length).fill(0x77)],
    ["that is empty", () => new Uint8Array(0)],
    ["that wants a window of 2 TiB", () => Buffer.from("28b52ffd00f8", "hex")],
    ["that says it holds 2^60 bytes", () => Buffer.from("28b52ffde00000000000000010", "hex")],
  ])("refuses a frame %s", async (_, damage) => {
    const stored = await encode();
    await expect(decode(damage(stored), Buffer.alloc(unit.length), 0x200)).rejects.toMatchObject({ code: "CORRUPT_IMAGE", offset: 0x200 });
  });

  test.runIf(!nodeHasZstd)("is named where there is none", () =>
    withHostCalls("off", async () => {
      await expect(codec.encode(unit)).rejects.toThrow("f: clusters compressed with zstd need the system's library libzstd");
      await using graph = hostGraph();
      const creating = graph.create({ driver: "qcow2", filename: folder.file("never"), size: 512, values: { compression_type: "zstd" } });
      await expect(creating).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" });
    }),
  );
});

test("random bytes are told from all that deflate makes shorter", () => {
  const noise = (length: number): Buffer => {
    const bytes = new Seeded(5).bytes(length * 2);
    return Buffer.from(bytes.filter((_, index) => index % 4 > 1)).subarray(0, length);
  };
  expect(looksRandom(noise(64 * KIB))).toBe(true);
  expect(looksRandom(noise(8 * KIB))).toBe(false);
  expect(looksRandom(Buffer.from(noise(64 * KIB).toString("hex"), "latin1"))).toBe(false);
  expect(looksRandom(Buffer.from(Array.from({ length: 64 * KIB }, (_, index) => index % 256)))).toBe(false);
  const sector = noise(512);
  expect(looksRandom(Buffer.concat(Array.from({ length: 128 }, () => sector)))).toBe(false);
  const partlyText = noise(64 * KIB);
  partlyText.fill("some words of text, then noise. ", 20_000, 24_000);
  expect(looksRandom(partlyText)).toBe(false);
});
