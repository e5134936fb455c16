import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { Access, BlockImage } from "../../driver.ts";
import { bareContext } from "../bare-context.ts";
import { driver } from "./file-driver.ts";

const ALONE: Access = { write: true, resize: true, shareWrite: false, shareResize: false, force: false };
const SHARING_WRITER: Access = { ...ALONE, resize: false, shareWrite: true, shareResize: true };
const READER: Access = { ...ALONE, write: false, resize: false };
const SHARING_READER: Access = { ...READER, shareWrite: true, shareResize: true };

let directory: string;
let filename: string;
const holders: ChildProcess[] = [];

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "image-locks-"));
  filename = join(directory, "image");
  spawnSync("qemu-img", ["create", "-f", "qcow2", filename, "1M"]);
});

afterEach(async () => {
  for (const holder of holders.splice(0)) await ended(holder);
  fs.rmSync(directory, { recursive: true });
});

function open(access: Access, options: { readonly locking?: "auto" | "on" | "off" } = {}): Promise<BlockImage> {
  return driver.open({ filename, ...options }, bareContext({ access, readOnly: !access.write })) as Promise<BlockImage>;
}

async function outcome(access: Access, options?: { readonly locking?: "auto" | "on" | "off" }): Promise<string> {
  try {
    await using image = await open(access, options);
    return image.size > 0 ? "opened" : "empty";
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "LOCKED")) throw error;
    return error.message;
  }
}

function refused(lock: string): string {
  return `Failed to get ${lock} lock\nIs another process using the image [${filename}]?`;
}

/** qemu-io that has the image open until its input ends. */
async function hold(...options: readonly string[]): Promise<ChildProcess> {
  const holder = spawn("qemu-io", [...options, filename], { stdio: ["pipe", "pipe", "inherit"] });
  holders.push(holder);
  await new Promise<void>((resolve, reject) => {
    holder.once("exit", () => reject(new Error("qemu-io did not open the image")));
    holder.stdout?.on("data", (text: Buffer) => text.includes("qemu-io>") && resolve());
  });
  return holder;
}

async function ended(holder: ChildProcess): Promise<void> {
  if (holder.exitCode !== null) return;
  const exit = new Promise((resolve) => holder.once("exit", resolve));
  holder.stdin?.end();
  await exit;
}

function qemuImg(...words: readonly string[]): { readonly status: number | null; readonly said: string } {
  const { status, stderr } = spawnSync("qemu-img", words, { encoding: "utf8" });
  return { status, said: stderr };
}

describe("while qemu-io holds the image", () => {
  test.each([
    [
      "a writer that shares nothing",
      ["-f", "qcow2"],
      { ALONE: '"write"', SHARING_WRITER: '"write"', READER: 'shared "write"', SHARING_READER: undefined },
    ],
    [
      "a reader that lets nobody write",
      ["-f", "qcow2", "-r"],
      { ALONE: '"write"', SHARING_WRITER: '"write"', READER: undefined, SHARING_READER: undefined },
    ],
    [
      "a raw writer, who lets others do what they like",
      ["-f", "raw"],
      { ALONE: 'shared "write"', SHARING_WRITER: undefined, READER: 'shared "write"', SHARING_READER: undefined },
    ],
  ])("%s", async (_name, options, expected) => {
    const holder = await hold(...options);
    const accesses = { ALONE, SHARING_WRITER, READER, SHARING_READER };
    for (const [name, lock] of Object.entries(expected)) {
      expect([name, await outcome(accesses[name as keyof typeof accesses])]).toEqual([name, lock === undefined ? "opened" : refused(lock)]);
    }
    expect(await outcome(ALONE, { locking: "off" })).toBe("opened");
    expect(await outcome({ ...READER, force: true })).toBe("opened");
    await ended(holder);
    expect(await outcome(ALONE, { locking: "on" })).toBe("opened");
  });
});

describe("while we hold the image", () => {
  test("as one who shares nothing, qemu-img neither reads, writes, resizes nor remakes it", async () => {
    const before = fs.readFileSync(filename);
    await using _image = await open(ALONE);
    expect(qemuImg("convert", "-O", "raw", filename, join(directory, "copy")).said).toContain(
      'Failed to get shared "write" lock\nIs another process using the image',
    );
    expect(qemuImg("bench", "-w", "-c", "1", "-f", "qcow2", filename).said).toContain('Failed to get "write" lock');
    expect(qemuImg("resize", filename, "2M").said).toContain('Failed to get "write" lock');
    expect(qemuImg("create", "-f", "qcow2", filename, "2M").said).toContain('Failed to get "write" lock');
    expect(qemuImg("info", filename).said).toContain('Failed to get shared "write" lock');
    expect(qemuImg("info", "-U", filename)).toEqual({ status: 0, said: "" });
    expect(fs.readFileSync(filename).equals(before)).toBe(true);
  });

  test("as a reader, qemu-img reads it and does not write it", async () => {
    await using _image = await open(READER);
    expect(qemuImg("check", "-f", "qcow2", filename)).toEqual({ status: 0, said: "" });
    expect(qemuImg("resize", filename, "2M").said).toContain('Failed to get "write" lock');
  });

  test("as one who shares all, qemu-img does what it likes", async () => {
    await using _image = await open(SHARING_READER);
    expect(qemuImg("resize", filename, "2M").status).toBe(0);
  });

  test("with locking off, or closed again, nobody is kept out", async () => {
    {
      await using _image = await open(ALONE, { locking: "off" });
      expect(qemuImg("resize", filename, "2M").status).toBe(0);
    }
    {
      await using _image = await open(ALONE);
      expect(qemuImg("resize", filename, "3M").status).not.toBe(0);
    }
    expect(qemuImg("resize", filename, "3M").status).toBe(0);
  });
});

test("two openings in one process keep each other out too, and a refused one leaves no lock behind", async () => {
  await using _first = await open(READER);
  await using _second = await open(READER);
  expect(await outcome(ALONE)).toBe(refused('"write"'));
  expect(await outcome(READER)).toBe("opened");
});

test("resizing is a permission of its own", async () => {
  await using _first = await open({ ...SHARING_READER, shareResize: false });
  const resizer: Access = { ...ALONE, shareWrite: true, shareResize: true };
  expect(await outcome({ ...resizer, resize: false })).toBe("opened");
  expect(await outcome(resizer)).toBe(refused('"resize"'));
  await using _second = await open({ ...resizer, resize: false });
  expect(await outcome({ ...SHARING_READER, shareResize: false })).toBe("opened");
  expect(await outcome(READER)).toBe(refused('shared "write"'));
});

test("one who resizes keeps out who cannot stand it", async () => {
  await using _first = await open({ ...SHARING_WRITER, resize: true });
  expect(await outcome({ ...SHARING_READER, shareResize: false })).toBe(refused('shared "resize"'));
});

test("where there are no such locks, auto goes without and on fails", async () => {
  const before = process.env["COBLOCK_HOST_CALLS"];
  process.env["COBLOCK_HOST_CALLS"] = "off";
  try {
    expect(await outcome(ALONE)).toBe("opened");
    await expect(open(ALONE, { locking: "on" })).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" });
  } finally {
    if (before === undefined) delete process.env["COBLOCK_HOST_CALLS"];
    else process.env["COBLOCK_HOST_CALLS"] = before;
  }
});
