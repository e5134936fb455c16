import * as fs from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { loadHostCalls, type HostCalls } from "./host-calls.ts";

const { EBADF, ENXIO, EINVAL, EOPNOTSUPP, EXDEV } = constants.errno;

/** These tests are about the calls; without them (macOS, COBLOCK_HOST_CALLS=off) there is one thing to test: that none is there. */
const available = process.platform === "linux" && process.env["COBLOCK_HOST_CALLS"] !== "off";

let calls: Required<HostCalls>;
let directory: string;
let fd: number;

beforeEach(async () => {
  calls = (await loadHostCalls()) as Required<HostCalls>;
  directory = fs.mkdtempSync(join(tmpdir(), "host-calls-"));
  fd = fs.openSync(join(directory, "file"), "w+");
});

afterEach(() => {
  fs.closeSync(fd);
  fs.rmSync(directory, { recursive: true });
});

test("with COBLOCK_HOST_CALLS=off there are none", async () => {
  const before = process.env["COBLOCK_HOST_CALLS"];
  process.env["COBLOCK_HOST_CALLS"] = "off";
  try {
    expect(await loadHostCalls()).toEqual({});
  } finally {
    if (before === undefined) delete process.env["COBLOCK_HOST_CALLS"];
    else process.env["COBLOCK_HOST_CALLS"] = before;
  }
});

if (available) {
  test("all of them are found", () => {
    const names = [
      "readNow",
      "seekData",
      "seekHole",
      "allocate",
      "allocateInPool",
      "lockShared",
      "isLocked",
      "copyRangeInPool",
      "cloneRangeInPool",
      "advise",
      "controlInPool",
      "socketPair",
      "stopCopyOnWrite",
      "hintExtentSize",
    ];
    expect(Object.keys(calls).sort()).toEqual(names.sort());
  });

  test("readNow fills exactly the view it is given, wherever its bytes are", () => {
    fs.writeSync(fd, Buffer.from("0123456789"));
    const shared = new Uint8Array(new SharedArrayBuffer(16));
    for (const whole of [new Uint8Array(16), Buffer.alloc(16), Buffer.allocUnsafe(16).fill(0), shared]) {
      const count = calls.readNow(fd, 2, whole.subarray(5, 9));
      expect(count).toBe(4);
      expect(Buffer.from(whole).toString("latin1")).toBe("\0\0\0\0\0" + "2345" + "\0".repeat(7));
    }
  });

  test("readNow is short at the end of the file, 0 behind it, and answers errors as numbers", () => {
    fs.writeSync(fd, Buffer.from("0123456789"));
    expect(calls.readNow(fd, 7, new Uint8Array(10))).toBe(3);
    expect(calls.readNow(fd, 10, new Uint8Array(10))).toBe(0);
    expect(calls.readNow(-1, 0, new Uint8Array(10))).toBe(-EBADF);
    expect(calls.readNow(fd, -5, new Uint8Array(10))).toBe(-EINVAL);
  });

  test("readNow reaches offsets above 4 GiB", () => {
    const offset = 5 * 2 ** 40 + 3;
    fs.writeSync(fd, Buffer.from("far"), 0, 3, offset);
    const into = new Uint8Array(3);
    expect(calls.readNow(fd, offset, into)).toBe(3);
    expect(Buffer.from(into).toString()).toBe("far");
  });

  test("seekData and seekHole find what was written", () => {
    const offset = 6 * 2 ** 30;
    fs.writeSync(fd, Buffer.alloc(65_536, 1), 0, 65_536, offset);
    expect(calls.seekData(fd, 0)).toBe(offset);
    expect(calls.seekHole(fd, offset)).toBe(offset + 65_536);
    expect(calls.seekData(fd, offset + 65_536)).toBe(-ENXIO);
  });

  test("allocate punches, zeroes and reserves without changing the rest", () => {
    const content = Buffer.alloc(65_536, 7);
    fs.writeSync(fd, content);
    expect(calls.allocate(fd, "punch", 4096, 8192)).toBe(0);
    expect(calls.seekHole(fd, 0)).toBe(4096);
    expect(calls.allocate(fd, "punch", 65_000, 100_000)).toBe(0);
    expect(fs.fstatSync(fd).size).toBe(65_536);
    expect(calls.allocate(fd, "zero", 20_000, 1)).toBe(0);
    expect(calls.allocate(fd, "reserve", 65_536, 65_536)).toBe(0);
    const expected = Buffer.alloc(131_072);
    content.copy(expected);
    expected
      .fill(0, 4096, 4096 + 8192)
      .fill(0, 65_000)
      .fill(0, 20_000, 20_001);
    expect(fs.readFileSync(join(directory, "file")).equals(expected)).toBe(true);
    expect(calls.allocate(-1, "punch", 0, 1)).toBe(-EBADF);
    expect(calls.allocate(fd, "punch", 0, 0)).toBe(-EINVAL);
  });

  test("calls in the pool bring their own errno, and more of them than koffi takes at once", async () => {
    fs.ftruncateSync(fd, 2 ** 30);
    const results = await Promise.all(
      Array.from({ length: 600 }, (_, index) => calls.allocateInPool(index % 2 === 0 ? fd : -1, "punch", index * 4096, 4096)),
    );
    expect(results.every((result, index) => result === (index % 2 === 0 ? 0 : -EBADF))).toBe(true);
  });

  test("a shared lock is seen from another opening of the file, not from its own, and ends with it", () => {
    const other = fs.openSync(join(directory, "file"), "r");
    expect(calls.lockShared(other, 100, 1)).toBe(0);
    expect(calls.lockShared(fd, 100, 1)).toBe(0);
    expect(calls.isLocked(fd, 100, 1)).toBe(1);
    expect(calls.isLocked(fd, 101, 1)).toBe(0);
    expect(calls.isLocked(fd, 90, 20)).toBe(1);
    fs.closeSync(other);
    expect(calls.isLocked(fd, 100, 1)).toBe(0);
    expect(calls.lockShared(-1, 100, 1)).toBe(-EBADF);
    expect(calls.isLocked(-1, 100, 1)).toBe(-EBADF);
  });

  test("copyRangeInPool copies bytes between files at any offset", async () => {
    fs.writeSync(fd, Buffer.from("0123456789"));
    const target = fs.openSync(join(directory, "target"), "w+");
    const copied = await calls.copyRangeInPool({ source: fd, sourceOffset: 3, target, targetOffset: 5, length: 4 });
    expect(copied).toBe(4);
    expect(fs.readFileSync(join(directory, "target")).toString("latin1")).toBe("\0\0\0\0\0" + "3456");
    expect(await calls.copyRangeInPool({ source: fd, sourceOffset: 0, target: -1, targetOffset: 0, length: 4 })).toBe(-EBADF);
    fs.closeSync(target);
  });

  test("what the file system is told of an empty file it takes, or says that it cannot", () => {
    for (const result of [calls.stopCopyOnWrite(fd), calls.hintExtentSize(fd, 1024 * 1024)])
      expect([0, -constants.errno.EOPNOTSUPP, -constants.errno.ENOTTY]).toContain(result);
    expect(calls.stopCopyOnWrite(-1)).toBe(-EBADF);
    expect(calls.hintExtentSize(-1, 4096)).toBe(-EBADF);
  });

  test("cloneRangeInPool shares blocks, or says that the file system cannot", async () => {
    fs.writeSync(fd, Buffer.alloc(65_536, 3));
    const target = fs.openSync(join(directory, "target"), "w+");
    const result = await calls.cloneRangeInPool({ source: fd, sourceOffset: 0, target, targetOffset: 0, length: 65_536 });
    expect([0, -EOPNOTSUPP, -EXDEV]).toContain(result);
    const cloned = fs.readFileSync(join(directory, "target"));
    expect(cloned.length).toBe(result === 0 ? 65_536 : 0);
    expect(cloned.every((byte) => byte === 3)).toBe(true);
    expect(await calls.cloneRangeInPool({ source: fd, sourceOffset: 0, target: -1, targetOffset: 0, length: 0 })).toBe(-EBADF);
    fs.closeSync(target);
  });

  test("advise is taken, or answers an error number", () => {
    expect(calls.advise(fd, "sequential", 0, 0)).toBe(0);
    expect(calls.advise(fd, "do not need", 2 ** 33, 2 ** 33)).toBe(0);
    expect(calls.advise(-1, "normal", 0, 0)).toBe(-EBADF);
  });
}
