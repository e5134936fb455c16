import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { BlockImage, OpenContext } from "../../driver.ts";
import type { DriverOptions } from "../../options.ts";
import { bareContext } from "../bare-context.ts";
import { fileDriver } from "./entry.ts";
import { driver } from "./file-driver.ts";
import { fileError } from "./file-error.ts";

const KiB = 1024;

let directory: string;
let filename: string;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "file-driver-"));
  filename = join(directory, "file");
});

afterEach(() => fs.rmSync(directory, { recursive: true }));

async function open(options: Partial<DriverOptions["file"]> = {}, overrides: Partial<OpenContext> = {}): Promise<BlockImage> {
  return (await driver.open({ filename, ...options }, bareContext(overrides))) as BlockImage;
}

test("the entry loads the driver", async () => {
  expect(await fileDriver.load()).toBe(driver);
  expect(Object.isFrozen(driver)).toBe(true);
});

describe("opening", () => {
  test("a missing file, in qemu-img's words", async () => {
    await expect(open()).rejects.toMatchObject({
      code: "NOT_FOUND",
      node: "node",
      message: `Could not open '${filename}': No such file or directory`,
    });
    await expect(open({ filename: `${filename}/below` })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("what is no file", async () => {
    await expect(open({ filename: directory })).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: `Could not open '${directory}': it is a directory`,
    });
    await expect(open({ filename: "/dev/zero" })).rejects.toThrow(
      "Could not open '/dev/zero': it is neither a regular file nor a block device",
    );
    execFileSync("mkfifo", [filename]);
    await expect(open({}, { readOnly: true })).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  test("/dev/null, an empty disk", async () => {
    const image = await open({ filename: "/dev/null" });
    expect(image).toMatchObject({ size: 0, growable: false });
    await image.flush?.();
    await expect(image.resize?.(1, { preallocation: "off", shrink: false })).rejects.toThrow("Cannot grow device files");
    await image[Symbol.asyncDispose]();
  });

  test("a file that may not be written", async () => {
    // Root may write what it likes, but nobody can write a program that runs.
    fs.copyFileSync("/bin/sleep", filename);
    fs.chmodSync(filename, 0o755);
    const { spawn } = await import("node:child_process");
    const running = spawn(filename, ["60"]);
    try {
      await new Promise((resolve) => running.once("spawn", resolve));
      await expect(open()).rejects.toMatchObject({ code: "IO", message: `Could not open '${filename}': Text file busy` });
      const image = await open({}, { readOnly: true });
      expect(image.growable).toBe(false);
      await image[Symbol.asyncDispose]();
    } finally {
      running.kill();
    }
  });

  test("options that make no sense, and a signal that was aborted", async () => {
    await expect(open({ filename: "" })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(open({ filename: "a\0b" })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(open({ locking: "maybe" as never })).rejects.toThrow(`option 'locking' is auto, on or off, not "maybe"`);
    await expect(open({}, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });

  test("two names of one file have one identity", async () => {
    fs.writeFileSync(filename, "x");
    fs.linkSync(filename, join(directory, "other"));
    fs.writeFileSync(join(directory, "third"), "x");
    const identities: (string | undefined)[] = [];
    for (const name of ["file", "other", "third"]) {
      await using image = await open({ filename: join(directory, name) });
      identities.push(image.identity);
    }
    expect(identities[0]).toBe(identities[1]);
    expect(identities[0]).not.toBe(identities[2]);
  });
});

describe("codes of host errors", () => {
  test.each([
    ["ENOSPC", "NO_SPACE"],
    ["EDQUOT", "NO_SPACE"],
    ["EACCES", "NOT_ALLOWED"],
    ["EROFS", "READ_ONLY"],
    ["EIO", "IO"],
  ])("%s is %s, and Node's error the cause", (name, code) => {
    const cause = Object.assign(new Error("from Node"), { code: name });
    expect(fileError("Could not write", cause)).toMatchObject({ code, cause });
  });
});

describe("writing", () => {
  test("grows to the highest end, whatever ends first", async () => {
    fs.writeFileSync(filename, "");
    await using image = await open();
    const pending = [700, 3, 350, 0, 9].map((at) => image.write?.(at * KiB, Buffer.alloc(300 * KiB, at % 200)));
    for (const write of pending) await write;
    expect(image.size).toBe(1000 * KiB);
    expect(fs.statSync(filename).size).toBe(1000 * KiB);
  });

  test("an empty request changes nothing", async () => {
    fs.writeFileSync(filename, "abc");
    await using image = await open();
    await image.write?.(10, new Uint8Array(0));
    await image.writeZeroes?.(10, 0);
    await image.discard?.(0, 0);
    await image.read(3, new Uint8Array(0));
    expect(image.size).toBe(3);
  });

  test.each([100 * KiB, 1200 * KiB])(
    "%i bytes where only some fit: the error says so, the file is as long as it then is",
    async (length) => {
      fs.writeFileSync(filename, Buffer.alloc(64 * KiB, 1));
      await using image = await open();
      await withFileSizeLimit(96 * KiB, async () => {
        await expect(async () => image.write?.(64 * KiB, Buffer.alloc(length, 2))).rejects.toMatchObject({
          code: "NO_SPACE",
          message: `Could not write ${length} bytes at offset 0x10000 of '${filename}': File too large`,
          cause: { code: "EFBIG" },
        });
        expect(image.size).toBe(96 * KiB);
        // What was stored of it is not fresh space: zeros that are written there must replace it.
        await image.writeZeroes?.(64 * KiB, 16 * KiB);
        await expect(async () => image.writeZeroes?.(64 * KiB, 64 * KiB)).rejects.toMatchObject({ code: "NO_SPACE" });
      });
      expect(fs.statSync(filename).size).toBe(image.size);
      await image.writeZeroes?.(64 * KiB, 64 * KiB);
      expect(image.size).toBe(128 * KiB);
      const back = new Uint8Array(64 * KiB);
      await image.read(64 * KiB, back);
      expect(back.every((byte) => byte === 0)).toBe(true);
    },
  );

  test("a failed growth does not hide the growth of others", async () => {
    fs.writeFileSync(filename, "");
    await using image = await open();
    await withFileSizeLimit(4096 * KiB, async () => {
      const results = await Promise.allSettled([
        image.write?.(0, Buffer.alloc(1200 * KiB, 1)),
        image.write?.(3600 * KiB, Buffer.alloc(1200 * KiB, 2)),
        image.write?.(1200 * KiB, Buffer.alloc(1200 * KiB, 3)),
      ]);
      expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    });
    expect(image.size).toBe(fs.statSync(filename).size);
    expect(image.size).toBeGreaterThanOrEqual(2400 * KiB);
  });
});

describe("resizing", () => {
  test("grows with zeros, with blocks where they are asked for", async () => {
    fs.writeFileSync(filename, Buffer.alloc(10, 1));
    await using image = await open();
    await image.resize?.(512 * KiB, { preallocation: "off", shrink: false });
    expect(fs.statSync(filename).blocks * 512).toBeLessThan(512 * KiB);
    await image.resize?.(1024 * KiB, { preallocation: "falloc", shrink: false });
    await image.resize?.(1536 * KiB, { preallocation: "full", shrink: false });
    expect(fs.statSync(filename).blocks * 512).toBeGreaterThanOrEqual(1024 * KiB);
    expect(image.size).toBe(1536 * KiB);
    expect(fs.readFileSync(filename).equals(Buffer.alloc(1536 * KiB).fill(1, 0, 10))).toBe(true);
  });

  test("shrinks only if asked to, and what was cut off does not come back", async () => {
    fs.writeFileSync(filename, Buffer.alloc(10_000, 1));
    await using image = await open();
    await expect(image.resize?.(5000, { preallocation: "off", shrink: false })).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await expect(image.resize?.(5000, { preallocation: "full", shrink: true })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(image.resize?.(50_000, { preallocation: "metadata", shrink: false })).rejects.toMatchObject({
      code: "UNSUPPORTED_FEATURE",
    });
    expect(image.size).toBe(10_000);
    await image.resize?.(5000, { preallocation: "off", shrink: true });
    await image.writeZeroes?.(9000, 10);
    expect(image.size).toBe(9010);
    expect(fs.readFileSync(filename).equals(Buffer.alloc(9010).fill(1, 0, 5000))).toBe(true);
  });

  test.each(["falloc", "full", "off"] as const)("what does not fit (%s) leaves the file as it was", async (preallocation) => {
    fs.writeFileSync(filename, Buffer.alloc(10_000, 1));
    await using image = await open();
    await withFileSizeLimit(64 * KiB, async () => {
      await expect(image.resize?.(1024 * KiB, { preallocation, shrink: false })).rejects.toMatchObject({ code: "NO_SPACE" });
    });
    expect(image.size).toBe(10_000);
    expect(fs.statSync(filename).size).toBe(10_000);
  });
});

test("closing twice is one close; with something in flight it is refused", async () => {
  fs.writeFileSync(filename, Buffer.alloc(2048 * KiB));
  const image = await open();
  await image.flush?.();
  const reading = image.read(0, new Uint8Array(2048 * KiB));
  await expect(async () => image[Symbol.asyncDispose]()).rejects.toThrow("closed with 1 requests in flight");
  await reading;
  const second = await open({ locking: "off" });
  await Promise.all([second[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
  await expect(async () => second.flush?.()).rejects.toThrow("used after it was closed");
});

test("it tells what it does", async () => {
  fs.writeFileSync(filename, "abc");
  await using image = await open();
  expect(image.inspect?.()).toEqual({ file: filename, size: 3, locked: true, readsWithoutWaiting: true });
});

/** Lets this process write files up to `bytes` only (Node ignores the signal that comes with it). */
async function withFileSizeLimit(bytes: number, section: () => Promise<void>): Promise<void> {
  const limit = (value: string): void => {
    execFileSync("prlimit", ["--pid", String(process.pid), `--fsize=${value}:`]);
  };
  limit(String(bytes));
  try {
    await section();
  } finally {
    limit("unlimited");
  }
}
