/** LUKS disks in both directions: what either tool makes and writes, the other reads. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockGraph, fileDriver, newSpaceReadsZero, rawDriver } from "@coblock/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { luksDriver } from "./index.ts";

const PASSPHRASE = "correct horse";
const SECRET = ["--object", `secret,id=sec0,data=${PASSPHRASE}`] as const;
const SIZE = 2 * 1024 * 1024 + 512;

let folder: string;
let file: string;
let graph: BlockGraph;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "coblock-luks-"));
  file = join(folder, "disk.luks");
  graph = new BlockGraph({
    drivers: [fileDriver, rawDriver, luksDriver],
    secrets: { sec0: PASSPHRASE, wrong: "correct horsE" },
    implicitOpen: "allow",
  });
});

afterEach(async () => {
  await graph[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const opened = { driver: "luks", keySecret: "sec0" } as const;
const words = (): string => `driver=luks,file.filename=${file},key-secret=sec0`;

/** The real tool gives up now and then when it cannot measure how fast it derives keys. */
function qemuCreate(options: string, size: number): void {
  for (;;) {
    const { status, stderr } = spawnSync("qemu-img", ["create", "-q", ...SECRET, "-f", "luks", "-o", options, file, String(size)], {
      encoding: "utf8",
    });
    if (status === 0) return;
    if (!stderr.includes("Unable to get accurate CPU usage")) throw new Error(stderr);
  }
}

function qemuContent(): Buffer {
  const raw = join(folder, "raw");
  execFileSync("qemu-img", ["convert", ...SECRET, "--image-opts", words(), "-O", "raw", raw]);
  return readFileSync(raw);
}

function qemuIo(command: string): void {
  const output = execFileSync("qemu-io", [...SECRET, "-c", command, "--image-opts", words()], { encoding: "utf8", stdio: "pipe" });
  if (output.includes("failed")) throw new Error(output);
}

async function content(): Promise<Buffer> {
  await using disk = await graph.open({ ...opened, file }, { readOnly: true });
  const bytes = Buffer.alloc(disk.size);
  await disk.read(0, bytes);
  return bytes;
}

const SHAPES: readonly Readonly<Record<string, string>>[] = [
  {},
  { "cipher-alg": "aes-128", "cipher-mode": "cbc", "ivgen-alg": "essiv", "hash-alg": "sha1" },
  { "cipher-alg": "aes-192", "hash-alg": "sha512", "cipher-mode": "xts" },
  { "cipher-mode": "ctr", "ivgen-alg": "plain", "hash-alg": "ripemd160" },
];

/** Every shape made here, and two by the real tool, which takes long. */
const MADE = [...SHAPES.map((shape) => ["ours", shape] as const), ...SHAPES.slice(0, 2).map((shape) => ["theirs", shape] as const)];

describe("both directions", () => {
  it.each(MADE)("a disk of %s (%o) holds what either tool wrote", async (maker, shape) => {
    const values = { "key-secret": "sec0", "iter-time": 10, ...shape };
    if (maker === "ours") await graph.create({ driver: "luks", filename: file, size: SIZE, values });
    else {
      const options = Object.entries(values).map(([name, value]) => `${name}=${value}`);
      qemuCreate(options.join(","), SIZE);
    }
    const model = qemuContent();
    expect(model.length).toBe(SIZE);
    expect((await content()).equals(model)).toBe(true);
    {
      await using disk = await graph.open({ ...opened, file });
      const bytes = Buffer.alloc(1_300_001, "guest bytes ");
      await disk.write(777, bytes);
      bytes.copy(model, 777);
      await disk.writeZeroes(5000, 70_000);
      model.fill(0, 5000, 75_000);
      await disk.discard(0, 512);
    }
    expect(qemuContent().equals(model)).toBe(true);
    qemuIo(`write -P 7 1M 600k`);
    model.fill(7, 1024 * 1024, 1024 * 1024 + 600 * 1024);
    expect((await content()).equals(model)).toBe(true);
    expect(readFileSync(file).includes("guest")).toBe(false);
  });
});

describe("a disk", () => {
  beforeEach(() => graph.create({ driver: "luks", filename: file, size: SIZE, values: { "key-secret": "sec0", "iter-time": 0 } }));

  it("tells of itself as qemu-img does, and is found by its first bytes, without a passphrase", async () => {
    const { "format-specific": specific, "virtual-size": size } = JSON.parse(
      execFileSync("qemu-img", ["info", "--output=json", file], { encoding: "utf8" }),
    ) as Record<string, unknown>;
    await using disk = await graph.open(file, { readOnly: true });
    expect(disk.driver).toBe("luks");
    expect(disk.size).toBe(size);
    expect(newSpaceReadsZero(disk)).toBe(false);
    expect(await disk.info()).toEqual({ encrypted: true, formatSpecific: specific });
    await expect(disk.read(0, new Uint8Array(512))).rejects.toThrow("Parameter 'key-secret' is required for cipher");
  });

  it.each([
    [{ keySecret: "wrong" }, "NOT_ALLOWED", "Invalid password, cannot unlock any keyslot"],
    [{ keySecret: "absent" }, "NOT_FOUND", "No secret with id 'absent'"],
    [{}, "INVALID_OPTION", "Parameter 'key-secret' is required for cipher"],
  ])("is not opened with %o", async (options, code, message) => {
    const refusal = await graph.open({ driver: "luks", file, ...options }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code, message: expect.stringContaining(message) as string });
  });

  it("grows and shrinks; what stays keeps its bytes, in both tools", async () => {
    const kept = Buffer.alloc(SIZE, 9);
    await using disk = await graph.open({ ...opened, file });
    await disk.write(0, kept);
    await disk.resize(2 * SIZE);
    expect(disk.size).toBe(2 * SIZE);
    await disk.write(SIZE, kept);
    await disk[Symbol.asyncDispose]();
    expect(qemuContent().equals(Buffer.concat([kept, kept]))).toBe(true);
    await using again = await graph.open({ ...opened, file });
    await again.resize(1024 * 1024, { shrink: true });
    await again[Symbol.asyncDispose]();
    expect(qemuContent().equals(kept.subarray(0, 1024 * 1024))).toBe(true);
  });

  it("whose file ends in the middle of a sector reads as in QEMU there, and is written whole", async () => {
    qemuIo("write -P 5 0 2M");
    writeFileSync(file, readFileSync(file).subarray(0, -600));
    expect((await content()).equals(qemuContent())).toBe(true);
    const { size } = statSync(file);
    {
      await using disk = await graph.open({ ...opened, file });
      await disk.write(disk.size - 100, Buffer.alloc(100, 3));
    }
    expect(statSync(file).size).toBe(Math.ceil(size / 512) * 512);
    expect((await content()).equals(qemuContent())).toBe(true);
    expect((await content()).subarray(-100).equals(Buffer.alloc(100, 3))).toBe(true);
  });

  it.each([
    ["cut off in its header", 300, "is too short|are too short"],
    ["cut off in its key slots", 100_000, "past the end of its area"],
  ])("%s is refused", async (_what, length, message) => {
    writeFileSync(file, readFileSync(file).subarray(0, length));
    const refusal = await graph.open({ ...opened, file }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "CORRUPT_IMAGE", message: expect.stringMatching(message) as string });
    expect((refusal as Error).message).toContain(file);
  });
});

it("has no backing file, and needs a secret", async () => {
  const values = { "key-secret": "sec0" };
  const backed = graph.create({ driver: "luks", filename: file, size: 512, values, backing: { filename: file, format: "raw" } });
  await expect(backed).rejects.toThrow("Backing file not supported for file format 'luks'");
  await expect(graph.create({ driver: "luks", filename: file, size: 512 })).rejects.toThrow(
    "Parameter 'key-secret' is required for cipher",
  );
});
