/**
 * What host calls cost, and the ways to make them that were weighed. Files are in the page cache; the figures are the best of five
 * rounds. Run: npx tsx --conditions=@coblock/source bench/host-calls.mjs
 */

import * as fs from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { SystemClock } from "../packages/core/src/coroutine/system-clock.ts";
import { driver } from "../packages/core/src/drivers/file/file-driver.ts";
import { loadHostCalls } from "../packages/core/src/host/host-calls.ts";

const KiB = 1024;
const FILE_SIZE = 256 * KiB * KiB;
const ROUNDS = 5;

const koffi = createRequire(new URL("../packages/core/src/index.ts", import.meta.url))("koffi");
const library = koffi.load(null);
const directory = fs.mkdtempSync(join(tmpdir(), "host-calls-bench-"));
const filename = join(directory, "file");
fs.writeFileSync(filename, Buffer.alloc(FILE_SIZE, 7));
const fd = fs.openSync(filename, "r+");
try {
  await alternatives();
  await reads();
  await writes();
  await others();
} finally {
  fs.closeSync(fd);
  fs.rmSync(directory, { recursive: true });
}

/** The ways to read 4 KiB without waiting. */
async function alternatives() {
  const bytes = Buffer.alloc(4 * KiB);
  const vector = new BigUint64Array(2);
  const vectorAddress = Number(koffi.address(vector));
  const address = koffi.address(bytes);
  vector[0] = address;
  vector[1] = BigInt(bytes.length);
  const Vector = koffi.struct({ base: "void *", length: "size_t" });
  const pread = library.func("pread", "intptr_t", ["int", "void *", "size_t", "int64_t"]);
  const byNumber = library.func("preadv2", "intptr_t", ["int", "uintptr_t", "int", "int64_t", "int"]);
  const byView = library.func("preadv2", "intptr_t", ["int", "void *", "int", "int64_t", "int"]);
  const byStruct = library.func("preadv2", "intptr_t", ["int", koffi.pointer(Vector), "int", "int64_t", "int"]);
  sync("fs.readSync", (offset) => fs.readSync(fd, bytes, 0, bytes.length, offset));
  sync("pread, the buffer as pointer (may wait)", (offset) => pread(fd, bytes, bytes.length, offset));
  sync("preadv2, iovec as koffi struct", (offset) => byStruct(fd, { base: bytes, length: bytes.length }, 1, offset, 8));
  sync("preadv2, iovec fixed, as view", (offset) => byView(fd, vector, 1, offset, 8));
  sync("preadv2, iovec fixed, as number", (offset) => byNumber(fd, vectorAddress, 1, offset, 8));
  const known = new WeakMap([[bytes.buffer, Number(address) - bytes.byteOffset]]);
  sync("preadv2, address from a WeakMap", (offset) => {
    vector[0] = BigInt(known.get(bytes.buffer) + bytes.byteOffset);
    return byNumber(fd, vectorAddress, 1, offset, 8);
  });
  const { readNow } = await loadHostCalls();
  sync("readNow (asks koffi for the address each time)", (offset) => readNow(fd, offset, bytes));
}

async function reads() {
  const image = await openImage();
  for (const size of [4 * KiB, 64 * KiB, 256 * KiB, 512 * KiB, 2048 * KiB]) {
    const buffers = Array.from({ length: 8 }, () => Buffer.alloc(size));
    const { readNow } = await loadHostCalls();
    sync(`readNow ${size / KiB} KiB`, (offset) => readNow(fd, offset, buffers[0]), size);
    await parallel(`file driver, read ${size / KiB} KiB`, buffers, (offset, bytes) => image.read(offset, bytes));
    await parallel(`fs.read ${size / KiB} KiB`, buffers, (offset, bytes) => callback((done) => fs.read(fd, bytes, 0, size, offset, done)));
  }
  await image[Symbol.asyncDispose]();
}

async function writes() {
  const image = await openImage();
  for (const size of [4 * KiB, 64 * KiB, 256 * KiB, 512 * KiB, 2048 * KiB]) {
    const buffers = Array.from({ length: 8 }, () => Buffer.alloc(size, 9));
    sync(`fs.writeSync ${size / KiB} KiB`, (offset) => fs.writeSync(fd, buffers[0], 0, size, offset), size);
    await parallel(`file driver, write ${size / KiB} KiB`, buffers, (offset, bytes) => image.write(offset, bytes));
    await parallel(`fs.write ${size / KiB} KiB`, buffers, (offset, bytes) =>
      callback((done) => fs.write(fd, bytes, 0, size, offset, done)),
    );
  }
  await image[Symbol.asyncDispose]();
}

async function others() {
  const calls = await loadHostCalls();
  sync("lseek SEEK_HOLE", (offset) => calls.seekHole(fd, offset));
  sync("OFD lock, one byte", () => calls.lockShared(fd, 100, 1));
  sync("fallocate punch 64 KiB", (offset) => calls.allocate(fd, "punch", offset, 64 * KiB), 64 * KiB);
  sync("fallocate zero 64 KiB", (offset) => calls.allocate(fd, "zero", offset, 64 * KiB), 64 * KiB);
}

async function openImage() {
  const access = { write: true, resize: true, shareWrite: true, shareResize: true, force: false };
  return driver.open({ filename }, { nodeName: "file", fileName: filename, readOnly: false, access, clock: new SystemClock() });
}

function callback(begin) {
  return new Promise((resolve, reject) => begin((error) => (error === null ? resolve() : reject(error))));
}

/** Calls `run` with offsets that step through the file. */
function sync(name, run, step = 4 * KiB) {
  const count = Math.min(200_000, Math.floor((2 ** 31 / step) * 0.5));
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    for (let index = 0; index < count; index++) run((index * step) % FILE_SIZE);
    best = Math.min(best, (performance.now() - started) / count);
  }
  print(name, best);
}

/** As many at a time as there are buffers; then one at a time. */
async function parallel(name, buffers, run) {
  const size = buffers[0].length;
  const count = Math.min(50_000, Math.floor(2 ** 29 / size));
  for (const depth of [1, buffers.length]) {
    let best = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      let next = 0;
      const worker = async (_, index) => {
        while (next < count) {
          const pending = run((next++ * size) % FILE_SIZE, buffers[index]);
          if (pending !== undefined) await pending;
        }
      };
      const started = performance.now();
      await Promise.all(Array.from({ length: depth }, worker));
      best = Math.min(best, (performance.now() - started) / count);
    }
    print(`${name}, depth ${depth}`, best);
  }
}

function print(name, milliseconds) {
  console.log(`${name.padEnd(50)} ${(milliseconds * 1000).toFixed(2).padStart(9)} µs`);
}
