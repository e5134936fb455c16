import * as fs from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { FileReader } from "./file-reader.ts";
import { HostFile } from "./host-file.ts";

const { EAGAIN, EOPNOTSUPP, EIO } = constants.errno;

let directory: string;
let file: HostFile;
const content = Buffer.from(Uint8Array.from({ length: 1_100_000 }, (_, index) => index % 251));

beforeEach(async () => {
  directory = fs.mkdtempSync(join(tmpdir(), "file-reader-"));
  const filename = join(directory, "file");
  fs.writeFileSync(filename, content);
  file = await HostFile.open({ filename, nodeName: "node", mode: "read" });
});

afterEach(async () => {
  await file.close();
  fs.rmSync(directory, { recursive: true });
});

/** A page cache that answers with what `answers` says, in turn; a count is a prefix that it fills. */
function scripted(...answers: readonly number[]): { readNow: (fd: number, offset: number, into: Uint8Array) => number; asked: number } {
  const cache = {
    asked: 0,
    readNow: (_fd: number, offset: number, into: Uint8Array): number => {
      const answer = answers[cache.asked++] ?? into.length;
      if (answer > 0) into.set(content.subarray(offset, offset + answer));
      return answer;
    },
  };
  return cache;
}

async function readAt(reader: FileReader, offset: number, length: number): Promise<"now" | "later"> {
  const into = new Uint8Array(length);
  const pending = reader.read(offset, into);
  await pending;
  expect(Buffer.compare(into, content.subarray(offset, offset + length))).toBe(0);
  return pending === undefined ? "now" : "later";
}

test("what is cached is read at once", async () => {
  const reader = new FileReader(file, scripted());
  expect(await readAt(reader, 5, 4096)).toBe("now");
});

test("without host calls everything is read in the pool", async () => {
  const reader = new FileReader(file, {});
  expect(reader.triesNow).toBe(false);
  expect(await readAt(reader, 5, 4096)).toBe("later");
});

test("a short count goes on behind what came", async () => {
  const marked = {
    readNow: (_fd: number, _offset: number, into: Uint8Array): number => {
      into.fill(255, 0, 1000);
      return 1000;
    },
  };
  const into = Buffer.alloc(4096);
  await new FileReader(file, marked).read(17, into);
  expect(into.equals(Buffer.concat([Buffer.alloc(1000, 255), content.subarray(1017, 17 + 4096)]))).toBe(true);
});

test("the first refusal changes nothing, a row of them makes attempts rarer, success ends it", async () => {
  const cache = scripted(-EAGAIN, -EAGAIN, -EAGAIN, 4096, -EAGAIN);
  const reader = new FileReader(file, cache);
  const asked: number[] = [];
  for (let read = 0; read < 9; read++) {
    await readAt(reader, read * 4096, 4096);
    asked.push(cache.asked);
  }
  // Refused, refused, skipped, refused, three skipped, served, refused.
  expect(asked).toEqual([1, 2, 2, 3, 3, 3, 3, 4, 5]);
  expect(await readAt(reader, 0, 4096)).toBe("now");
});

test("a file that refuses forever is asked once in 65 reads", async () => {
  const cache = scripted(...Array.from({ length: 100 }, () => -EAGAIN));
  const reader = new FileReader(file, cache);
  for (let read = 0; read < 600; read++) await readAt(reader, 0, 512);
  const before = cache.asked;
  for (let read = 0; read < 650; read++) await readAt(reader, 0, 512);
  expect(cache.asked - before).toBe(10);
});

test("a file system that cannot read without waiting is asked once", async () => {
  const cache = scripted(-EOPNOTSUPP);
  const reader = new FileReader(file, cache);
  for (let read = 0; read < 5; read++) expect(await readAt(reader, 0, 512)).toBe("later");
  expect(cache.asked).toBe(1);
  expect(reader.triesNow).toBe(false);
});

test("a file in memory is read on the main thread all the same", async () => {
  const inMemory = fs.existsSync("/dev/shm") ? fs.mkdtempSync("/dev/shm/file-reader-") : directory;
  const filename = join(inMemory, "file");
  fs.writeFileSync(filename, content);
  const held = await HostFile.open({ filename, nodeName: "node", mode: "read" });
  const reader = new FileReader(held, scripted(-EOPNOTSUPP));
  expect(await readAt(reader, 0, 512)).toBe("later");
  expect(await readAt(reader, 77, 512)).toBe(inMemory === directory ? "later" : "now");
  fs.truncateSync(filename, 1000);
  await expect(async () => reader.read(800, new Uint8Array(512))).rejects.toThrow("got 200 bytes, the file ends there");
  await held.close();
  if (inMemory !== directory) fs.rmSync(inMemory, { recursive: true });
});

test("an error is left to the pool, which says what it is", async () => {
  const cache = scripted(-EIO);
  const reader = new FileReader(file, cache);
  expect(await readAt(reader, 0, 512)).toBe("later");
  expect(await readAt(reader, 0, 512)).toBe("now");
});

test("long reads are not tried on the main thread, empty ones nowhere", async () => {
  const cache = scripted();
  const reader = new FileReader(file, cache);
  expect(await readAt(reader, 0, 1024 * 1024 + 1)).toBe("later");
  expect(reader.read(0, new Uint8Array(0))).toBeUndefined();
  expect(cache.asked).toBe(0);
});
