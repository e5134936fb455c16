import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { main } from "../main.ts";

const folder = mkdtempSync(join(tmpdir(), "coblock-dd-"));
const path = (name: string): string => join(folder, name);
/** Each sector has its own byte; the last one ends early. */
const DISK = Buffer.concat([...Array.from({ length: 20 }, (_, sector) => Buffer.alloc(512, sector + 1)), Buffer.alloc(100, 99)]);
const WHOLE = Buffer.concat([DISK, Buffer.alloc(412)]);

beforeAll(() => writeFileSync(path("disk"), DISK));
afterAll(() => rmSync(folder, { recursive: true }));

async function dd(...words: readonly string[]): Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const host = {
    stdout: { write: (text: string) => (written.stdout += text) },
    stderr: { write: (text: string) => (written.stderr += text) },
  };
  rmSync(path("new"), { force: true });
  return { exitCode: await main(["dd", ...words, `if=${path("disk")}`, `of=${path("new")}`], host), ...written };
}

describe("what is copied", () => {
  it.each([
    ["all, to a whole sector", [], WHOLE],
    ["blocks that do not fit", ["bs=1000"], WHOLE],
    ["blocks larger than the disk", ["bs=1M"], WHOLE],
    ["so many blocks", ["bs=1k", "count=3"], WHOLE.subarray(0, 3072)],
    ["one block of the default size", ["count=1"], WHOLE.subarray(0, 512)],
    ["no block", ["count=0"], Buffer.alloc(0)],
    ["what is behind the blocks that are left out", ["bs=1k", "skip=2"], WHOLE.subarray(2048)],
    ["so many blocks behind those that are left out", ["bs=1k", "skip=2", "count=3"], WHOLE.subarray(2048, 5120)],
    ["no more than there is", ["bs=1k", "skip=9", "count=30"], WHOLE.subarray(9216)],
    ["a size with a suffix and a fraction", ["bs=0.5k", "count=2"], WHOLE.subarray(0, 1024)],
    ["the last of two words", ["bs=1", "bs=1k", "count=7", "count=1"], WHOLE.subarray(0, 1024)],
  ])("%s", async (_, words, expected) => {
    expect(await dd(...words)).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    expect(readFileSync(path("new")).equals(expected)).toBe(true);
  });

  it("is nothing, with a word of warning, where all blocks are left out", async () => {
    const { exitCode, stderr } = await dd("bs=1M", "skip=1");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: `coblock: ${path("disk")}: cannot skip to specified offset\n` });
    expect(readFileSync(path("new"))).toHaveLength(0);
  });

  it("is in an image of another format", async () => {
    expect(await dd("-O", "qcow2", "bs=4k")).toMatchObject({ exitCode: 0 });
    expect(readFileSync(path("new")).subarray(0, 4).toString("latin1")).toBe("QFI\u00fb");
  });
});

describe("words that are refused", () => {
  it.each([
    [["bs=0"], "Invalid bs specified: '0' is not between 1 and 2147483647"],
    [["bs=2G"], "Invalid bs specified: '2G' is not between 1 and 2147483647"],
    [["count=x"], "Invalid count specified: 'x' (a number of bytes, or with one of the suffixes k, M, G, T, P and E)"],
    [["skip=-1"], "Invalid skip specified: '-1' (a number of bytes, or with one of the suffixes k, M, G, T, P and E)"],
    [["seek=1"], "unrecognized operand seek"],
    [["bs"], "unrecognized operand bs"],
    [["-O", "nonsense"], "Unknown file format 'nonsense'"],
    [["-f", "qcow2"], `${path("disk")}: the file starts with 0x01010101, not with the magic of qcow2`],
  ])("%j", async (words, message) => {
    expect(await dd(...words)).toMatchObject({ exitCode: 1, stdout: "", stderr: `coblock: ${message}\n` });
    expect(existsSync(path("new"))).toBe(false);
  });

  it("an image onto itself", async () => {
    const same = `of=${path("disk")}`;
    const written: string[] = [];
    const sink = { write: (text: string) => written.push(text) };
    expect(await main(["dd", `if=${path("disk")}`, same], { stdout: sink, stderr: sink })).toBe(1);
    expect(written.join("")).toContain("the source is read from this file");
    expect(readFileSync(path("disk")).equals(DISK)).toBe(true);
  });
});
