/** Bugs and attacks that other image libraries had, by name: none of them works here. */

import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { BlockError, BlockGraph, fileDriver, type OpenOptions, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Workbench } from "../tools/workbench.ts";

const MIB = 1024 * 1024;
let bench = new Workbench();
beforeEach(() => {
  bench = new Workbench();
});
afterEach(() => bench[Symbol.dispose]());

function makeGraph(implicitOpen: "allow" | "deny" = "allow"): BlockGraph {
  return new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver, qedDriver], implicitOpen });
}

async function create(
  name: string,
  options: { readonly size?: number; readonly backing?: string; readonly driver?: string } = {},
): Promise<void> {
  await using graph = makeGraph();
  const { size = MIB, backing, driver = "qcow2" } = options;
  await graph.create({
    driver,
    filename: bench.path(name),
    size,
    ...(backing === undefined ? {} : { backing: { filename: backing, format: driver } }),
  });
}

/** Why an image does not open; `undefined` where it does. */
async function refusal(
  name: string,
  opening: OpenOptions = { readOnly: true },
  implicitOpen: "allow" | "deny" = "allow",
): Promise<BlockError | undefined> {
  await using graph = makeGraph(implicitOpen);
  try {
    await graph.open(bench.path(name), opening);
    return undefined;
  } catch (error) {
    if (error instanceof BlockError) return error;
    throw error;
  }
}

function change(name: string, edit: (bytes: Buffer) => void): void {
  const bytes = readFileSync(bench.path(name));
  edit(bytes);
  writeFileSync(bench.path(name), bytes);
}

describe("names of files", () => {
  it("C1: a guest cannot turn a probed raw disk into another format", async () => {
    writeFileSync(bench.path("disk"), Buffer.alloc(MIB));
    await using graph = makeGraph();
    {
      await using probed = await graph.open(bench.path("disk"));
      await expect(probed.write(0, Buffer.from("QFI\u00fb", "latin1"))).rejects.toMatchObject({ code: "NOT_ALLOWED" });
      await expect(probed.write(1, Buffer.from("ED\0", "latin1"))).resolves.toBeUndefined();
      await expect(probed.write(0, Buffer.from("Q"))).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    }
    await using explicit = await graph.open(bench.path("disk"), { driver: "raw" });
    await explicit.write(0, Buffer.from("QFI\u00fb", "latin1"));
  });

  it("C2: looking at an image opens no other file, and opening one asks", async () => {
    await create("overlay", { backing: "/does/not/exist" });
    const { exitCode, stdout } = await bench.ours(["info", "@overlay"]);
    expect({ exitCode, named: stdout.includes("backing file: /does/not/exist") }).toEqual({ exitCode: 0, named: true });
    expect(await refusal("overlay", { readOnly: true }, "deny")).toMatchObject({ code: "NOT_ALLOWED" });
    expect(await refusal("overlay")).toMatchObject({ code: "NOT_FOUND" });
  });

  it.each(['json:{"driver":"file","filename":"/etc/passwd"}', "nosuchprotocol:thing"])(
    "C4: an image cannot name options or unknown protocols: %s",
    async (name) => {
      await create("overlay", { backing: name });
      expect(await refusal("overlay")).toMatchObject({ code: "NOT_ALLOWED" });
      expect((await bench.ours(["info", "@overlay"])).exitCode).toBe(0);
    },
  );

  it("C7: chains that are loops, or longer than 200, are refused with one line", async () => {
    await create("self", { backing: "self" });
    expect(await refusal("self")).toMatchObject({ code: "NOT_ALLOWED" });
    await create("a", { backing: "b" });
    await create("b", { backing: "a" });
    expect(await refusal("a")).toMatchObject({ code: "NOT_ALLOWED" });
    await create("layer-0", { driver: "qed" });
    for (let index = 1; index <= 205; index++) await create(`layer-${index}`, { driver: "qed", backing: `layer-${index - 1}` });
    expect(await refusal("layer-150")).toBeUndefined();
    expect(String(await refusal("layer-205"))).toContain("longer than 200");
  });
});

describe("numbers in headers", () => {
  /** Field, bytes, value: each alone makes the image unusable, and is found before anything is read or allocated by it. */
  const BAD: readonly (readonly [string, number, 4 | 8, bigint])[] = [
    ["C8 virtual size 2^62", 24, 8, 1n << 62n],
    ["C8 an L1 table of 2^32 - 1 entries", 36, 4, 0xffff_ffffn],
    ["C9 header length past the cluster", 100, 4, 0x1_0001n],
    ["C9 header length 104 minus 4", 100, 4, 100n],
    ["C9 L1 table off the clusters", 40, 8, 0x30001n],
    ["C9 L1 table at 2^63", 40, 8, 1n << 63n],
    ["C9 L1 table too small for the size", 36, 4, 0n],
    ["C9 refcount table off the clusters", 48, 8, 0x10200n],
    ["C9 refcount table at 2^63", 48, 8, 1n << 63n],
    ["C9 refcount table of no clusters", 56, 4, 0n],
    ["C10 refcount table of 2^32 - 1 clusters", 56, 4, 0xffff_ffffn],
    ["C9 snapshots off the clusters", 64, 8, 0x10001n],
    ["C10 2^32 - 1 snapshots", 60, 4, 0xffff_ffffn],
    ["C9 backing name past the header", 8, 8, 0x1_0000_0000n],
    ["C25 virtual size 2^63", 24, 8, 1n << 63n],
    ["C25 more than the clusters can map", 24, 8, 1n << 52n],
    ["B32 cluster bits 0", 20, 4, 0n],
    ["B32 cluster bits 8", 20, 4, 8n],
    ["B32 cluster bits 22", 20, 4, 22n],
    ["B32 cluster bits 255", 20, 4, 255n],
    ["B32 refcount order 7", 96, 4, 7n],
    ["B32 refcount order 2^31", 96, 4, 1n << 31n],
  ];

  it.each(BAD)("%s", async (_name, offset, width, value) => {
    await create("image");
    change("image", (bytes) => {
      if (width === 4) bytes.writeUInt32BE(Number(value), offset);
      else bytes.writeBigUInt64BE(value, offset);
      if (offset === 60) bytes.writeBigUInt64BE(0x30000n, 64);
      if (offset === 64) bytes.writeUInt32BE(1, 60);
      if (offset === 8) bytes.writeUInt32BE(10, 16);
    });
    const error = await refusal("image");
    expect(["CORRUPT_IMAGE", "UNSUPPORTED_FEATURE"]).toContain(error?.code);
    expect(error?.message).toContain(bench.path("image"));
    expect(error?.message).not.toContain("\n");
    const { exitCode, stderr } = await bench.ours(["info", "@image"]);
    expect({ exitCode, lines: stderr.trimEnd().split("\n").length }).toEqual({ exitCode: 1, lines: 1 });
  });

  it("C9: an extension that is longer than the header", async () => {
    await create("image");
    change("image", (bytes) => {
      const at = bytes.readUInt32BE(100);
      bytes.writeUInt32BE(0x1234_5678, at);
      bytes.writeUInt32BE(0xffff_fff0, at + 4);
    });
    expect(await refusal("image")).toMatchObject({ code: "CORRUPT_IMAGE" });
  });

  it.each([0, 511, 4095, 2 ** 27])("B32: QED clusters of %i bytes", async (clusterSize) => {
    await create("image", { driver: "qed" });
    change("image", (bytes) => bytes.writeUInt32LE(clusterSize, 4));
    expect(await refusal("image")).toMatchObject({ code: "CORRUPT_IMAGE" });
  });

  it("C25: a disk of no bytes opens and reads nothing", async () => {
    await create("image", { size: 0 });
    await using graph = makeGraph();
    await using disk = await graph.open(bench.path("image"));
    expect(disk.size).toBe(0);
    await disk.read(0, new Uint8Array(0));
    await expect(disk.read(0, new Uint8Array(1))).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
  });
});

describe("addresses", () => {
  it.each(["qcow2", "qed"])("B26: offsets around 2^31 and 2^32, %s", async (driver) => {
    await create("image", { driver, size: 5 * 2 ** 30 });
    await using graph = makeGraph();
    const places = [2 ** 31 - 100, 2 ** 32 - 162, 2 ** 32 + 7_000_000].map((offset, index) => ({
      offset,
      bytes: Buffer.alloc(300, index + 1),
    }));
    {
      await using disk = await graph.open(bench.path("image"));
      for (const { offset, bytes } of places) await disk.write(offset, bytes);
    }
    await using disk = await graph.open(bench.path("image"), { readOnly: true });
    for (const { offset, bytes } of places) {
      const read = Buffer.alloc(302);
      await disk.read(offset - 1, read);
      expect(read.equals(Buffer.concat([Buffer.alloc(1), bytes, Buffer.alloc(1)]))).toBe(true);
    }
    bench.qemuImg("check", "-f", driver, "@image");
  });

  it.each([48, 52, 55])("B27: bit %i of an L2 entry is part of the offset, not ignored", async (bit) => {
    await create("image");
    await using graph = makeGraph();
    {
      await using disk = await graph.open(bench.path("image"));
      await disk.write(0, Buffer.alloc(512, 1));
    }
    change("image", (bytes) => {
      const l2 = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(40))) & 0x00ff_ffff_ffff_fe00n);
      bytes.writeBigUInt64BE(bytes.readBigUInt64BE(l2) | (1n << BigInt(bit)), l2);
    });
    await using disk = await graph.open(bench.path("image"), { readOnly: true });
    const read = disk.read(0, new Uint8Array(512)).then(
      () => "zeros",
      (error: unknown) => (error instanceof BlockError ? error.code : "other"),
    );
    // Behind the end of the file there are zeros, or it is an error; never the bytes of another cluster.
    expect(["zeros", "CORRUPT_IMAGE"]).toContain(await read);
  });

  it("B30: extensions of a version 2 image begin at byte 72", async () => {
    bench.qemuImg("create", "-q", "-f", "qcow2", "-o", "compat=0.10", "-u", "-b", "base.raw", "-F", "raw", "@image", "1M");
    await using graph = makeGraph();
    await using disk = await graph.open(bench.path("image"), { readOnly: true, backing: null });
    expect(await disk.info()).toMatchObject({ backing: { filename: "base.raw", format: "raw" } });
  });

  it.each(["qcow2", "qed"])("B19: a table that the file cuts off is an error, never zeros: %s", async (driver) => {
    await create("image", { driver });
    await using graph = makeGraph();
    {
      await using disk = await graph.open(bench.path("image"));
      await disk.write(0, Buffer.alloc(512, 1));
    }
    const bytes = readFileSync(bench.path("image"));
    const l1 = driver === "qcow2" ? Number(bytes.readBigUInt64BE(40)) : Number(bytes.readBigUInt64LE(40));
    const l2 = driver === "qcow2" ? Number(bytes.readBigUInt64BE(l1) & 0x00ff_ffff_ffff_fe00n) : Number(bytes.readBigUInt64LE(l1));
    truncateSync(bench.path("image"), l2 + 100);
    await using disk = await graph.open(bench.path("image"), { readOnly: true });
    await expect(disk.read(0, new Uint8Array(512))).rejects.toBeInstanceOf(BlockError);
  });
});
