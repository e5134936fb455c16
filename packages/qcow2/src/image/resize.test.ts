import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { readFileSync, writeFileSync } from "node:fs";
import type { RequestTrace } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { contentOf, expectClean, hostGraph, qemuContent, qemuCreate, qemuImg, qemuIo, TemporaryDirectory } from "../test/images.ts";

const MIB = 2 ** 20;

describe("growing", () => {
  const shapes = ["", "compat=0.10", "cluster_size=512", "cluster_size=512,refcount_bits=64", "extended_l2=on", "cluster_size=2M"];
  it.each(shapes.flatMap((options) => [4 * MIB, 40 * MIB].map((size) => ({ options, size }))))(
    "%o keeps the old bytes and shows zeros behind",
    async ({ options, size }) => {
      using folder = new TemporaryDirectory();
      const file = qemuCreate(folder.file("image"), MIB + 512, options);
      qemuIo(file, `write -P 3 0 ${MIB + 512}`);
      const before = qemuContent(file);
      await using graph = hostGraph();
      {
        await using disk = await graph.open(file);
        await disk.resize(size);
        expect(disk.size).toBe(size);
        await disk.write(size - 5000, Buffer.alloc(5000, 8));
      }
      expectClean(file);
      const content = qemuContent(file);
      expect(content.equals(Buffer.concat([before, Buffer.alloc(size - before.length - 5000), Buffer.alloc(5000, 8)]))).toBe(true);
    },
  );

  it.each(["metadata", "falloc", "full"] as const)("with preallocation %s maps the new area", async (preallocation) => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), MIB, "cluster_size=4k");
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      // Space that is used again holds old bytes.
      await disk.write(0, Buffer.alloc(MIB, 9));
      await disk.discard(0, MIB / 2);
      await disk.flush();
      await disk.resize(6 * MIB, { preallocation });
      expect((await contentOf(disk)).equals(Buffer.concat([Buffer.alloc(MIB / 2), Buffer.alloc(MIB / 2, 9), Buffer.alloc(5 * MIB)]))).toBe(
        true,
      );
    }
    expectClean(file);
    expect((JSON.parse(qemuImg("check", "--output=json", file)) as Record<string, number>)["allocated-clusters"]).toBe((5.5 * MIB) / 4096);
  });

  it("a signal stops preallocation, and nothing but clusters without an owner is left of it", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), MIB);
    const abort = new AbortController();
    let writes = 0;
    const stopAtThird = (message: unknown): void => {
      const { kind, length } = message as RequestTrace;
      if (kind === "write" && length === MIB && ++writes === 3) abort.abort(new Error("enough"));
    };
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      subscribe("coblock:request:start", stopAtThird);
      try {
        await expect(disk.resize(64 * MIB, { preallocation: "full", signal: abort.signal })).rejects.toThrow("enough");
      } finally {
        unsubscribe("coblock:request:start", stopAtThird);
      }
      expect(disk.size).toBe(MIB);
      await disk.write(0, Buffer.alloc(MIB, 7));
    }
    expect(writes).toBe(3);
    expect(qemuContent(file).equals(Buffer.alloc(MIB, 7))).toBe(true);
    qemuImg("check", "-r", "leaks", file);
    expectClean(file);
  });

  const modes = ["metadata", "full"] as const;
  const kinds = ["extended_l2=on", "cluster_size=64k,compat=0.10"];
  it.each(modes.flatMap((mode) => kinds.flatMap((options) => ["none", "shorter", "longer"].map((base) => ({ mode, options, base })))))(
    "with preallocation keeps what the last cluster has, which ends behind the disk: %o",
    async ({ mode, options, base }) => {
      using folder = new TemporaryDirectory();
      const backing = folder.file("base");
      if (base === "longer" && options.includes("0.10")) return;
      writeFileSync(backing, Buffer.alloc(base === "longer" ? MIB : 40_000, 7));
      const size = 100 * 512;
      const words = base === "none" ? [] : ["-b", backing, "-F", "raw"];
      const file = folder.file("image");
      qemuImg("create", "-q", "-f", "qcow2", "-o", options, ...words, file, String(size));
      qemuIo(file, "write -P 5 1000 20000");
      const before = qemuContent(file);
      {
        await using graph = hostGraph();
        await using disk = await graph.open(file);
        await disk.resize(2 * MIB, { preallocation: mode });
        expect((await contentOf(disk)).equals(Buffer.concat([before, Buffer.alloc(2 * MIB - size)]))).toBe(true);
      }
      expect(qemuContent(file).equals(Buffer.concat([before, Buffer.alloc(2 * MIB - size)]))).toBe(true);
      expectClean(file);
    },
  );

  it.each(["cluster_size=512", "cluster_size=512,compat=0.10"])(
    "does not show what a VM state left behind the end: %s",
    async (options) => {
      using folder = new TemporaryDirectory();
      const file = qemuCreate(folder.file("image"), 4 * MIB, options);
      qemuIo(file, "write -P 3 0 4M");
      // The L1 table and all that it leads to stay, as with a VM state.
      const image = readFileSync(file);
      image.writeBigUInt64BE(BigInt(MIB), 24);
      writeFileSync(file, image);
      await using graph = hostGraph();
      {
        await using disk = await graph.open({ driver: "qcow2", file, l2CacheSize: 0 });
        await disk.resize(2 * MIB + 512);
        expect((await contentOf(disk)).equals(Buffer.concat([Buffer.alloc(MIB, 3), Buffer.alloc(MIB + 512)]))).toBe(true);
        await disk.resize(8 * MIB);
        expect((await contentOf(disk)).equals(Buffer.concat([Buffer.alloc(MIB, 3), Buffer.alloc(7 * MIB)]))).toBe(true);
      }
      expectClean(file);
    },
  );

  it("hides a longer backing file behind tables that are not in memory", async () => {
    using folder = new TemporaryDirectory();
    const base = folder.file("base");
    writeFileSync(base, Buffer.alloc(8 * MIB, 5));
    const file = folder.file("image");
    qemuImg("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "-b", base, "-F", "raw", file, "8k");
    qemuIo(file, "write 0 4k");
    await using graph = hostGraph();
    {
      await using disk = await graph.open({ driver: "qcow2", file, l2CacheEntrySize: 512, l2CacheSize: 0 });
      await disk.resize(8 * MIB);
      expect((await contentOf(disk)).subarray(8192).every((byte) => byte === 0)).toBe(true);
    }
    expectClean(file);
  });

  it.each([
    ["cluster_size=64k", MIB + 512],
    ["cluster_size=4k", MIB + 4096],
    ["cluster_size=16k,extended_l2=on", MIB + 512],
    ["cluster_size=16k,extended_l2=on", MIB + 1024],
  ])("hides a longer backing file: %s, %i bytes", async (options, size) => {
    using folder = new TemporaryDirectory();
    const base = folder.file("base");
    writeFileSync(base, Buffer.alloc(4 * MIB, 5));
    const file = folder.file("image");
    qemuImg("create", "-q", "-f", "qcow2", "-o", options, "-b", base, "-F", "raw", file, String(size));
    await using graph = hostGraph();
    const expected = Buffer.concat([Buffer.alloc(size, 5), Buffer.alloc(8 * MIB - size)]);
    {
      await using disk = await graph.open(file);
      await disk.resize(8 * MIB);
      expect((await contentOf(disk)).equals(expected)).toBe(true);
    }
    expectClean(file);
    expect(qemuContent(file).equals(expected)).toBe(true);
  });

  it("moves the last cluster where a snapshot shares it, and leaves the snapshot as it is", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), MIB + 512);
    qemuIo(file, `write -P 3 0 ${MIB + 512}`);
    qemuImg("snapshot", "-c", "before", file);
    const before = qemuContent(file);
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await disk.resize(2 * MIB);
    }
    expectClean(file);
    expect(qemuContent(file).equals(Buffer.concat([before, Buffer.alloc(MIB - 512)]))).toBe(true);
    expect(qemuContent(file, "-l", "snapshot.name=before").subarray(0, before.length).equals(before)).toBe(true);
  });
});

describe("what cannot be resized stays as it is", () => {
  it.each<[what: string, size: number, options: string, prepare: (file: string) => void, message: string]>([
    ["to a part of a sector", MIB + 1, "", () => {}, "not whole sectors"],
    ["beyond what the L1 table can map", 2 ** 40, "cluster_size=512", () => {}, "more than clusters of 512 bytes can map"],
    ["version 2 with snapshots", 2 * MIB, "compat=0.10", (file) => qemuImg("snapshot", "-c", "one", file), "resize a v2 image"],
  ])("%s", async (_what, size, options, prepare, message) => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), MIB, options);
    prepare(file);
    const before = readFileSync(file);
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await expect(disk.resize(size, { shrink: true })).rejects.toThrow(message);
      expect(disk.size).toBe(MIB);
    }
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it.each([
    ["version 2 under a longer backing file", "compat=0.10", undefined, "version 2 cannot hide"],
    ["without the backing file that it names", "", null, "without its backing file"],
  ])("%s", async (_what, options, backing, message) => {
    using folder = new TemporaryDirectory();
    const base = folder.file("base");
    writeFileSync(base, Buffer.alloc(4 * MIB, 5));
    const file = folder.file("image");
    qemuImg("create", "-q", "-f", "qcow2", ...(options === "" ? [] : ["-o", options]), "-b", base, "-F", "raw", file, String(MIB));
    await using graph = hostGraph();
    await using disk = await graph.open({ driver: "qcow2", file, ...(backing === null ? { backing } : {}) });
    await expect(disk.resize(8 * MIB)).rejects.toThrow(message);
  });
});
