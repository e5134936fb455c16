import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { BlockGraph } from "../../graph.ts";
import type { BlockNode } from "../../node.ts";
import { fileDriver } from "../file/entry.ts";
import { memoryDriver } from "../memory.ts";
import { rawDriver } from "./entry.ts";
import { driver } from "./raw-driver.ts";

let directory: string;
let filename: string;
let graph: BlockGraph;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "raw-driver-"));
  filename = join(directory, "disk");
  graph = new BlockGraph({ drivers: [rawDriver, fileDriver, memoryDriver] });
});

afterEach(async () => {
  await graph[Symbol.asyncDispose]();
  fs.rmSync(directory, { recursive: true });
});

async function bytesOf(node: BlockNode, offset: number, length: number): Promise<string> {
  const into = Buffer.alloc(length);
  await node.read(offset, into);
  return into.toString("latin1");
}

test("the entry loads the driver and answers a probe with the least", async () => {
  expect(await rawDriver.load()).toBe(driver);
  expect(rawDriver.probe?.(new Uint8Array(0), "")).toBe(1);
});

describe("a window of a file", () => {
  test("offset and size shift and bound everything", async () => {
    fs.writeFileSync(filename, "0123456789".repeat(1000));
    const node = await graph.open({ driver: "raw", file: { driver: "file", filename }, offset: 15, size: 100 });
    expect(node.size).toBe(100);
    expect(await bytesOf(node, 0, 10)).toBe("5678901234");
    await node.write(90, Buffer.from("abcdefghij"));
    await node.writeZeroes(1, 2);
    await expect(node.write(95, Buffer.alloc(6))).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
    await expect(node.resize(200)).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await node.flush();
    const expected = Buffer.from("0123456789".repeat(1000));
    expected.write("abcdefghij", 105);
    expected.fill(0, 16, 18);
    expect(fs.readFileSync(filename).equals(expected)).toBe(true);
    expect(node.inspect()).toMatchObject({ image: { offset: 15, size: 100, firstSectorWatched: false } });
  });

  test("without a size it is as long as the file, and resizes with it", async () => {
    fs.writeFileSync(filename, Buffer.alloc(3000, 1));
    const node = await graph.open({ driver: "raw", file: { driver: "file", filename }, offset: 1000 });
    expect(node.size).toBe(2000);
    await node.resize(5000);
    expect([node.size, fs.statSync(filename).size]).toEqual([5000, 6000]);
    await expect(node.resize(100)).rejects.toThrow("shrinking");
    await node.resize(100, { shrink: true });
    expect([node.size, fs.statSync(filename).size]).toEqual([100, 1100]);
  });

  test("a window that the file does not have is refused", async () => {
    fs.writeFileSync(filename, Buffer.alloc(3000));
    const file = { driver: "file", filename } as const;
    await expect(graph.open({ driver: "raw", file, offset: 3001 })).rejects.toThrow(
      `Could not open '${filename}': offset 3001 is behind the end of the file, which has 3000 bytes`,
    );
    await expect(graph.open({ driver: "raw", file, offset: 1000, size: 2001 })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    for (const offset of [-1, 0.5, NaN])
      await expect(graph.open({ driver: "raw", file, offset })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(graph.open({ driver: "raw", file, size: -1 })).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  test("status says where the bytes are in the file, as qemu-img map does", async () => {
    const fd = fs.openSync(filename, "w");
    fs.ftruncateSync(fd, 1_048_576);
    fs.writeSync(fd, Buffer.alloc(65_536, 1), 0, 65_536, 131_072);
    fs.closeSync(fd);
    const node = await graph.open({ driver: "raw", file: { driver: "file", filename }, offset: 65_536 }, { readOnly: true });
    const extents = [];
    for await (const { offset, length, kind, location } of node.extents())
      extents.push([offset, length, kind, location?.fileName, location?.offset]);
    expect(extents).toEqual([
      [0, 65_536, "zero", filename, 65_536],
      [65_536, 65_536, "data", filename, 131_072],
      [131_072, 851_968, "zero", filename, 196_608],
    ]);
    const map = spawnSync(
      "qemu-img",
      ["map", "--output=json", "--image-opts", `driver=raw,offset=65536,file.driver=file,file.filename=${filename}`],
      { encoding: "utf8" },
    );
    const theirs = (JSON.parse(map.stdout) as { start: number; length: number; zero: boolean; offset: number }[]).map((run) => [
      run.start,
      run.length,
      run.zero ? "zero" : "data",
      filename,
      run.offset,
    ]);
    expect(extents).toEqual(theirs);
  });
});

describe("creating", () => {
  test.each([
    [1000, "off"],
    [1_000_000, "falloc"],
    [1_048_576, "full"],
  ])("%i bytes, preallocation %s, are the file that qemu-img makes", async (size, preallocation) => {
    await graph.create({ driver: "raw", filename, size, values: { preallocation } });
    const theirs = join(directory, "theirs");
    expect(spawnSync("qemu-img", ["create", "-f", "raw", "-o", `preallocation=${preallocation}`, theirs, String(size)]).status).toBe(0);
    expect(fs.readFileSync(filename).equals(fs.readFileSync(theirs))).toBe(true);
    // Theirs always has its first block, ours where it was asked for.
    if (preallocation !== "off") expect(fs.statSync(filename).blocks).toBe(fs.statSync(theirs).blocks);
    await expect((await graph.driver("raw")).measure?.({ size, values: {} })).resolves.toEqual({
      required: fs.statSync(theirs).size,
      fullyAllocated: fs.statSync(theirs).size,
    });
  });

  test("over a file that is in use, with an unknown mode, or with a backing file, it is refused", async () => {
    fs.writeFileSync(filename, "precious");
    await graph.open({ driver: "file", filename });
    await expect(graph.create({ driver: "raw", filename, size: 512 })).rejects.toMatchObject({ code: "LOCKED" });
    await expect(
      graph.create({ driver: "raw", filename: join(directory, "b"), size: 512, values: { preallocation: "metadata" } }),
    ).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(graph.create({ driver: "raw", filename: join(directory, "c"), size: 512, backing: { filename } })).rejects.toThrow(
      "Backing file not supported",
    );
    expect(fs.readdirSync(directory)).toEqual(["disk"]);
  });
});

describe("a disk whose format was guessed", () => {
  const HEADER = Buffer.from("QFI\xfb\0\0\0\x03", "latin1");

  async function guessed(content: Uint8Array = Buffer.alloc(4096)): Promise<BlockNode> {
    fs.writeFileSync(filename, content);
    const node = await graph.open(filename);
    expect(node.driver).toBe("raw");
    return node;
  }

  test("does not become another format", async () => {
    const node = await guessed();
    await expect(node.write(0, HEADER)).rejects.toMatchObject({
      code: "NOT_ALLOWED",
      message: `'${filename}' was guessed to be raw, and this write would make it look like a qcow2 image; open it with driver 'raw' given explicitly to allow that`,
    });
    await expect(node.write(0, Buffer.concat([HEADER, Buffer.alloc(2000)]))).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await expect(node.write(64, Buffer.from("\x7f\x10\xda\xbe", "latin1"))).rejects.toThrow("vdi");
    expect(await bytesOf(node, 0, 4096)).toBe("\0".repeat(4096));
    await node.write(1, HEADER);
    await node.write(512, HEADER);
    expect(await bytesOf(node, 1, 3)).toBe("QFI");
  });

  test("given explicitly, it may", async () => {
    fs.writeFileSync(filename, Buffer.alloc(4096));
    const node = await graph.open(filename, { driver: "raw" });
    await node.write(0, HEADER);
    expect(await bytesOf(node, 0, 3)).toBe("QFI");
  });

  test("not in pieces either, one after the other or at once", async () => {
    const node = await guessed();
    await node.write(0, Buffer.from("QF"));
    await expect(node.write(2, Buffer.from("I\xfb", "latin1"))).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await node.write(0, Buffer.from("\0\0"));
    const pieces = await Promise.allSettled([node.write(2, Buffer.from("I\xfb", "latin1")), node.write(0, Buffer.from("QF"))]);
    expect(pieces.map((piece) => piece.status)).toEqual(["fulfilled", "rejected"]);
    expect(await bytesOf(node, 0, 4)).toBe("\0\0I\xfb");
  });

  test("not by zeros that complete it, nor by a resize", async () => {
    const node = await guessed(Buffer.from(`QEDx${"y".repeat(600)}`));
    await expect(node.writeZeroes(3, 1)).rejects.toThrow("this write zeroes would make it look like a qed image");
    const together = await Promise.allSettled([
      node.write(0, Buffer.from("qed")),
      node.writeZeroes(3, 10),
      node.write(0, Buffer.from("QED")),
    ]);
    expect(together.map((change) => change.status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    await node.writeZeroes(0, 13);
    await node.write(3, Buffer.from("z"));
    await node.write(0, Buffer.from("QED"));
    await expect(node.resize(3, { shrink: true })).rejects.toThrow("this resize would make it look like a qed image");
    await node.resize(4, { shrink: true });
    expect(await bytesOf(node, 0, 4)).toBe("QEDz");
  });

  test("a discard leaves the first sector as it is, and takes the rest", async () => {
    const node = await guessed(Buffer.alloc(16_384, 7));
    await node.discard(0, 16_384);
    await node.discard(10, 100);
    expect(await bytesOf(node, 0, 16_384)).toBe("\x07".repeat(512) + "\0".repeat(16_384 - 512));
  });

  test("a disk shorter than a sector is judged as if zeros followed", async () => {
    const node = await guessed(Buffer.from("abc"));
    await expect(node.write(0, Buffer.from("QED"))).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await node.write(0, Buffer.from("QEd"));
    expect(await bytesOf(node, 0, 3)).toBe("QEd");
  });

  test("read-only it is not watched", async () => {
    fs.writeFileSync(filename, "abc");
    const node = await graph.open(filename, { readOnly: true });
    expect(node.inspect()).toMatchObject({ image: { firstSectorWatched: false } });
  });
});
