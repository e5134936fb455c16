import * as fs from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import type { BlockImage } from "../../driver.ts";
import { loadHostCalls, type HostCalls } from "../../host/host-calls.ts";
import { bareContext } from "../bare-context.ts";
import { driver } from "./file-driver.ts";
import { FileExtents } from "./file-extents.ts";
import { HostFile } from "./host-file.ts";

const { ENXIO, EINVAL } = constants.errno;
const MiB = 1024 * 1024;

let directory: string;
let filename: string;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "file-extents-"));
  filename = join(directory, "file");
});

afterEach(() => fs.rmSync(directory, { recursive: true }));

test("a sparse file is told run by run", async () => {
  const fd = fs.openSync(filename, "w");
  fs.ftruncateSync(fd, 10 * MiB);
  fs.writeSync(fd, Buffer.alloc(MiB, 1), 0, MiB, 2 * MiB);
  fs.writeSync(fd, Buffer.alloc(65_536, 1), 0, 65_536, 7 * MiB);
  fs.closeSync(fd);
  await using image = await open();
  expect(await runs(image)).toEqual([
    ["zero", 2 * MiB],
    ["data", MiB],
    ["zero", 4 * MiB],
    ["data", 65_536],
    ["zero", 3 * MiB - 65_536],
  ]);
  expect(await image.status?.(2 * MiB + 10, 100)).toEqual({ kind: "data", length: 100 });
  expect(await image.status?.(0, 100)).toEqual({ kind: "zero", length: 100 });
});

test("zero writes, discards and resizes show at once, in both directions", async () => {
  fs.writeFileSync(filename, Buffer.alloc(4 * MiB, 1));
  await using image = await open();
  // Before its blocks are chosen, a file system may call a zeroed range data.
  await image.flush?.();
  expect(await runs(image)).toEqual([["data", 4 * MiB]]);
  await image.discard?.(MiB, MiB);
  expect(await runs(image)).toEqual([
    ["data", MiB],
    ["zero", MiB],
    ["data", 2 * MiB],
  ]);
  await image.writeZeroes?.(0, MiB, { mayUnmap: true });
  await image.writeZeroes?.(3 * MiB, 2 * MiB);
  expect(await runs(image)).toEqual([
    ["zero", 2 * MiB],
    ["data", MiB],
    ["zero", 2 * MiB],
  ]);
  await image.write?.(MiB, Buffer.alloc(MiB, 2));
  expect(await runs(image)).toEqual([
    ["zero", MiB],
    ["data", 2 * MiB],
    ["zero", 2 * MiB],
  ]);
  await image.resize?.(0, { preallocation: "off", shrink: true });
  await image.resize?.(MiB, { preallocation: "falloc", shrink: false });
  expect(await runs(image)).toEqual([["zero", MiB]]);
  expect(await image.allocatedSize?.()).toBe(MiB);
});

test("without host calls all is data", async () => {
  fs.writeFileSync(filename, "");
  fs.truncateSync(filename, MiB);
  const file = await HostFile.open({ filename, nodeName: "node", mode: "read" });
  expect(new FileExtents(file, {}).status(0, MiB)).toEqual({ kind: "data", length: MiB });
  const refusing = { seekData: () => -EINVAL, seekHole: () => -EINVAL };
  expect(new FileExtents(file, refusing).status(0, MiB)).toEqual({ kind: "data", length: MiB });
  await file.close();
});

test("a long run of data is looked for once, however small the pieces; holes are looked at anew", async () => {
  fs.writeFileSync(filename, "");
  fs.truncateSync(filename, 2000 * MiB);
  const file = await HostFile.open({ filename, nodeName: "node", mode: "read" });
  let seeks = 0;
  const calls: HostCalls = {
    seekData: (_fd, offset) => (seeks++, offset < 1000 * MiB ? offset : -ENXIO),
    seekHole: (_fd, offset) => (seeks++, offset < 1000 * MiB ? 1000 * MiB : offset),
  };
  const extents = new FileExtents(file, calls);
  for (let offset = 0; offset < 1000 * MiB; offset += MiB)
    expect(extents.status(offset, 2000 * MiB - offset)).toEqual({ kind: "data", length: 1000 * MiB - offset });
  expect(seeks).toBe(2);
  for (let offset = 1000 * MiB; offset < 1010 * MiB; offset += MiB) expect(extents.status(offset, MiB).kind).toBe("zero");
  expect(seeks).toBe(12);
  extents.forget();
  extents.status(5, 10);
  expect(seeks).toBe(14);
  await file.close();
});

test("a file that was cut behind our back is not called zero", async () => {
  fs.writeFileSync(filename, Buffer.alloc(MiB, 1));
  await using image = await open();
  fs.truncateSync(filename, 1000);
  expect(await image.status?.(4096, 4096)).toEqual({ kind: "data", length: 4096 });
  await expect(async () => image.read(4096, new Uint8Array(4096))).rejects.toMatchObject({
    code: "IO",
    offset: 4096,
    message: `Could not read 4096 bytes at offset 0x1000 of '${filename}': got 0 bytes, the file ends there`,
  });
  await expect(async () => image.read(0, new Uint8Array(4096))).rejects.toThrow("got 1000 bytes, the file ends there");
});

/** The runs as they are asked for from the start, with neighbours of a kind joined. */
async function runs(image: BlockImage): Promise<[string, number][]> {
  const found: [string, number][] = [];
  for (let offset = 0; offset < image.size;) {
    const run = await image.status?.(offset, image.size - offset);
    if (run === undefined) throw new Error("no status");
    const last = found.at(-1);
    if (last?.[0] === run.kind) last[1] += run.length;
    else found.push([run.kind, run.length]);
    offset += run.length;
  }
  return found;
}

async function open(): Promise<BlockImage> {
  expect(Object.keys(await loadHostCalls())).toContain("seekData");
  return (await driver.open({ filename }, bareContext())) as BlockImage;
}
