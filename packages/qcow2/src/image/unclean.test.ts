/** Images that are marked as not cleanly closed, or as corrupt: how they open, and when the marks go. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { contentOf, expectClean, hostGraph, patch, places, qemuContent, qemuCreate, qemuIo, TemporaryDirectory } from "../test/images.ts";

const DIRTY = 1n;
const CORRUPT = 2n;

function markOf(file: string): bigint {
  return readFileSync(file).readBigUInt64BE(72);
}

/** Data whose refcounts were never written, as a power cut leaves it under lazy refcounts. */
function makeUnclean(folder: TemporaryDirectory, marks = DIRTY): string {
  const file = qemuCreate(folder.file("image"), "4M", "cluster_size=4096");
  qemuIo(file, "write -P 1 0 40k", "write -P 2 3M 4k");
  patch(file, (bytes) => {
    bytes.fill(0, places(bytes).refcountBlock, places(bytes).refcountBlock + 4096);
    bytes.writeBigUInt64BE(marks, 72);
    return undefined;
  });
  return file;
}

describe("an image that was not closed cleanly", () => {
  it("gets its refcounts back before it is written, and is clean for QEMU afterwards", async () => {
    using folder = new TemporaryDirectory();
    const file = makeUnclean(folder);
    const expected = qemuContent(file);
    {
      await using graph = hostGraph();
      await using disk = await graph.open(file);
      expect((await disk.info()).dirty).toBe(false);
      expect((await contentOf(disk)).equals(expected)).toBe(true);
      await disk.write(100_000, Buffer.alloc(5000, 3));
    }
    expectClean(file);
    expected.fill(3, 100_000, 105_000);
    expect(qemuContent(file).equals(expected)).toBe(true);
    expect(markOf(file)).toBe(0n);
  });

  it("is repaired as QEMU left it when it was killed under lazy refcounts", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), "4M", "cluster_size=4096,lazy_refcounts=on");
    spawnSync("qemu-io", ["-f", "qcow2", "-c", "write -P 1 0 40k", "-c", "write -P 2 3M 4k", "-c", "flush", "-c", "abort", file]);
    expect(markOf(file)).toBe(DIRTY);
    await using graph = hostGraph();
    await using disk = await graph.open(file);
    expect(markOf(file)).toBe(0n);
    const content = await contentOf(disk);
    expect([content[0], content[40_959], content[40_960], content[3 * 2 ** 20]]).toEqual([1, 1, 0, 2]);
    expect(await disk.check({ repair: "none" })).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
  });

  it.each([
    ["read-only", { readOnly: true }],
    ["to be checked", { forCheck: true }],
  ])("is left as it is when it is opened %s", async (_how, options) => {
    using folder = new TemporaryDirectory();
    const file = makeUnclean(folder);
    const before = readFileSync(file);
    {
      await using graph = hostGraph();
      await using disk = await graph.open(file, options);
      expect((await disk.info()).dirty).toBe(true);
      expect((await contentOf(disk))[3 * 2 ** 20]).toBe(2);
      await expect(disk.write(0, Buffer.alloc(512))).rejects.toMatchObject({ code: "READ_ONLY" });
    }
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it("is not written while damage is left that cannot be repaired, and stays marked", async () => {
    using folder = new TemporaryDirectory();
    const file = makeUnclean(folder);
    patch(file, (bytes) => {
      bytes.writeBigUInt64BE(2n ** 63n + 2n ** 40n, places(bytes).l2);
      return undefined;
    });
    await using graph = hostGraph();
    await expect(graph.open(file)).rejects.toMatchObject({
      code: "CORRUPT_IMAGE",
      message: `${file}: the image was not closed cleanly and has 1 errors that cannot be repaired and 0 places that cannot be checked; it can be opened read-only`,
    });
    expect(markOf(file)).toBe(DIRTY);
  });
});

describe("an image that is marked as corrupt", () => {
  it.each([CORRUPT, CORRUPT | DIRTY])("can be written after a repair that leaves it sound: marks %d", async (marks) => {
    using folder = new TemporaryDirectory();
    const file = makeUnclean(folder, marks);
    await using graph = hostGraph();
    await expect(graph.open(file)).rejects.toMatchObject({ code: "CORRUPT_IMAGE" });
    expect(markOf(file)).toBe(marks);
    {
      await using disk = await graph.open(file, { forCheck: true });
      expect(await disk.check({ repair: "all" })).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
    }
    expectClean(file);
    await using disk = await graph.open(file);
    await disk.write(0, Buffer.alloc(512, 1));
  });

  it("keeps its mark while damage is left", async () => {
    using folder = new TemporaryDirectory();
    const file = makeUnclean(folder, CORRUPT);
    patch(file, (bytes) => {
      bytes.writeBigUInt64BE(2n ** 63n + 2n ** 40n, places(bytes).l1);
      return undefined;
    });
    await using graph = hostGraph();
    await using disk = await graph.open(file, { forCheck: true });
    // Its table is gone: what it led to is not given up, and no refcount is too low.
    expect(await disk.check({ repair: "all" })).toMatchObject({ errors: 0, corruptions: 1 });
    expect(markOf(file)).toBe(CORRUPT);
  });
});

it("a table that the file does not hold is told by the check, and does not keep it from opening", async () => {
  using folder = new TemporaryDirectory();
  const file = makeUnclean(folder, 0n);
  patch(file, (bytes) => {
    bytes.writeBigUInt64BE(2n ** 32n, 40);
    return undefined;
  });
  await using graph = hostGraph();
  await using disk = await graph.open(file, { forCheck: true });
  const findings: string[] = [];
  await disk.check({ repair: "none" }, ({ what }) => findings.push(what));
  expect(findings[0]).toMatch(/counting reference for region exceeding the end of the file .* offset 0x100000000/);
});
