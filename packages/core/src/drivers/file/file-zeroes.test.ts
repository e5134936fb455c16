import * as fs from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { SystemClock } from "../../coroutine/system-clock.ts";
import { loadHostCalls, type AllocateMode, type HostCalls } from "../../host/host-calls.ts";
import { FileImage } from "./file-image.ts";
import { HostFile } from "./host-file.ts";

const { EOPNOTSUPP, EINVAL, ENOSPC } = constants.errno;
const MiB = 1024 * 1024;

let directory: string;
let filename: string;
const opened: FileImage[] = [];

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "file-zeroes-"));
  filename = join(directory, "file");
  fs.writeFileSync(filename, Buffer.alloc(2 * MiB, 7));
});

afterEach(async () => {
  for (const image of opened.splice(0)) await image[Symbol.asyncDispose]();
  fs.rmSync(directory, { recursive: true });
});

async function openWith(calls: HostCalls): Promise<FileImage> {
  const file = await HostFile.open({ filename, nodeName: "node", mode: "write" });
  const image = new FileImage({ file, calls, clock: new SystemClock(), readOnly: false, locked: false });
  opened.push(image);
  return image;
}

/** A file system that answers `allocate` from a list, and notes what it was asked. */
function scripted(answers: Partial<Record<AllocateMode, number>>): HostCalls & { readonly asked: string[] } {
  const asked: string[] = [];
  const allocate = (_fd: number, mode: AllocateMode, offset: number, length: number): number => {
    asked.push(`${mode} ${offset}+${length}`);
    return answers[mode] ?? 0;
  };
  return { asked, allocate, allocateInPool: async (fd, mode, offset, length) => allocate(fd, mode, offset, length) };
}

test("mayUnmap gives the blocks back, else they stay", async () => {
  const image = await openWith(await loadHostCalls());
  await image.writeZeroes(0, MiB);
  expect(image.allocatedSize()).toBe(2 * MiB);
  await image.writeZeroes(MiB, MiB, { mayUnmap: true });
  expect(image.allocatedSize()).toBe(MiB);
  expect(fs.readFileSync(filename).equals(Buffer.alloc(2 * MiB))).toBe(true);
});

test("a file system without zero ranges gets zeros, and is not asked again", async () => {
  const calls = scripted({ zero: -EOPNOTSUPP, punch: -EOPNOTSUPP });
  const image = await openWith(calls);
  await image.writeZeroes(100, 3 * 512 * 1024, { mayUnmap: true });
  await image.writeZeroes(0, 50);
  await image.discard(0, 100);
  expect(calls.asked).toEqual(["punch 100+1572864", "zero 100+1572864"]);
  const expected = Buffer.alloc(2 * MiB, 7)
    .fill(0, 0, 50)
    .fill(0, 100, 100 + 1_572_864);
  expect(fs.readFileSync(filename).equals(expected)).toBe(true);
});

test("a range that cannot be addressed is written, the next one is tried again", async () => {
  const calls = scripted({ zero: -EINVAL });
  const image = await openWith(calls);
  await image.writeZeroes(3, 10);
  await image.writeZeroes(4096, 4096);
  expect(calls.asked).toEqual(["zero 3+10", "zero 4096+4096"]);
  expect(
    fs.readFileSync(filename).equals(
      Buffer.alloc(2 * MiB, 7)
        .fill(0, 3, 13)
        .fill(0, 4096, 8192),
    ),
  ).toBe(true);
});

test("a failure is told, not worked around", async () => {
  const image = await openWith(scripted({ zero: -ENOSPC }));
  await expect(image.writeZeroes(4096, 4096)).rejects.toMatchObject({
    code: "NO_SPACE",
    offset: 4096,
    node: "node",
    message: `Could not zero 4096 bytes at offset 0x1000 of '${filename}': No space left on device`,
  });
});

test("zeros past the end make the file longer, without blocks", async () => {
  const image = await openWith(await loadHostCalls());
  await image.writeZeroes(2 * MiB - 10, 100 * MiB);
  expect(image.size).toBe(102 * MiB - 10);
  expect(fs.statSync(filename).size).toBe(102 * MiB - 10);
  expect(image.allocatedSize()).toBeLessThan(3 * MiB);
  const tail = Buffer.alloc(20, 1);
  await image.read(2 * MiB - 20, tail);
  expect([...tail]).toEqual([...Buffer.alloc(10, 7), ...Buffer.alloc(10)]);
});

test.each(["on", "off"])("zeros past the end never cut off a longer write in flight (host calls %s)", async (hostCalls) => {
  const image = await openWith(hostCalls === "on" ? await loadHostCalls() : {});
  const long = Buffer.alloc(3 * MiB, 3);
  for (let round = 0; round < 40; round++) {
    const start = image.size;
    const writing = image.write(start + 8192, long);
    await image.writeZeroes(start, 8192);
    expect(image.size).toBeGreaterThanOrEqual(start + 8192);
    await writing;
    expect(image.size).toBe(start + 8192 + long.length);
    const back = Buffer.alloc(long.length + 8192, 1);
    await image.read(start, back);
    expect(back.subarray(0, 8192).equals(Buffer.alloc(8192))).toBe(true);
    expect(back.subarray(8192).equals(long)).toBe(true);
    await image.resize(2 * MiB, { preallocation: "off", shrink: true });
  }
});

test("zeros past our end do not cut off what another process has added", async () => {
  const image = await openWith(await loadHostCalls());
  fs.appendFileSync(filename, Buffer.alloc(MiB, 5));
  await image.writeZeroes(2 * MiB, 4096);
  expect(image.size).toBe(2 * MiB + 4096);
  expect(
    fs
      .readFileSync(filename)
      .subarray(2 * MiB)
      .equals(Buffer.alloc(MiB, 5).fill(0, 0, 4096)),
  ).toBe(true);
});
