/** The two example formats pass the conformance suite and agree with qemu-img; and they stay as short as they are promised to be. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { BlockGraph, fileDriver, rawDriver } from "@coblock/core";
import { driverSuite, SeededRandom, type DriverSubject } from "@coblock/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cloopDriver } from "./cloop.ts";
import { vdiDriver } from "./vdi.ts";

const MIB = 1024 * 1024;

function vdiSubject(name: string, values: Readonly<Record<string, boolean>>): DriverSubject {
  return {
    name,
    drivers: [vdiDriver],
    diskSize: 5 * MIB - 512,
    clusterSize: MIB,
    sizeUnit: 512,
    create: ({ graph, size, fileName }) => graph.create({ driver: "vdi", filename: fileName(), size, values }),
    describe: ({ fileName }) => ({ driver: "vdi", file: fileName() }),
  };
}

const CLOOP: DriverSubject = {
  name: "cloop",
  drivers: [cloopDriver],
  diskSize: 40 * 4096,
  clusterSize: 4096,
  sizeUnit: 4096,
  writable: false,
  create: async ({ storage, size, content, fileName }) => storage.put(fileName(), cloopOf(content ?? new Uint8Array(size), 4096)),
  describe: ({ fileName }) => ({ driver: "cloop", file: fileName(), readOnly: true }),
};

function cloopOf(content: Uint8Array, blockLength: number): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < content.length; at += blockLength) blocks.push(deflateSync(content.subarray(at, at + blockLength)));
  const header = Buffer.alloc(136 + 8 * (blocks.length + 1));
  header.write("#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n");
  header.writeUInt32BE(blockLength, 128);
  header.writeUInt32BE(blocks.length, 132);
  let offset = header.length;
  for (const [index, block] of [...blocks, Buffer.alloc(0)].entries()) {
    header.writeBigUInt64BE(BigInt(offset), 136 + 8 * index);
    offset += block.length;
  }
  return Buffer.concat([header, ...blocks]);
}

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "coblock-formats-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("conformance", () => {
  for (const subject of [vdiSubject("dynamic VDI", {}), { ...vdiSubject("static VDI", { static: true }), sampled: true }, CLOOP]) {
    for (const { name, run } of driverSuite(subject)) it(name, run);
  }
});

describe("VDI and qemu-img", () => {
  const qemuImg = (...words: readonly string[]): string => execFileSync("qemu-img", words, { encoding: "utf8", cwd: folder });

  it.each([{ static: false }, { static: true }])("what Coblock writes is sound and the same for qemu-img: %j", async (values) => {
    const model = Buffer.alloc(9 * MIB);
    await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, vdiDriver] });
    await graph.create({ driver: "vdi", filename: join(folder, "ours.vdi"), size: model.length, values });
    {
      await using disk = await graph.open(join(folder, "ours.vdi"));
      expect(disk.driver).toBe("vdi");
      const random = new SeededRandom(1);
      for (let count = 0; count < 30; count++) {
        const offset = random.below(model.length - 1000);
        const bytes = Buffer.alloc(Math.min(1 + random.below(300_000), model.length - offset), 1 + random.below(255));
        bytes.copy(model, offset);
        await disk.write(offset, bytes);
      }
      expect(await disk.check({ repair: "none" })).toMatchObject({ corruptions: 0, errors: 0 });
    }
    writeFileSync(join(folder, "model.raw"), model);
    expect(qemuImg("check", "-f", "vdi", "ours.vdi")).toContain("No errors");
    expect(qemuImg("compare", "-f", "vdi", "-F", "raw", "ours.vdi", "model.raw")).toBe("Images are identical.\n");
  });

  it.each(["off", "on"])("what qemu-img writes reads the same: static=%s", async (isStatic) => {
    const content = Buffer.alloc(5 * MIB);
    for (let at = 0; at < content.length; at += 2 * MIB) content.fill(at / MIB + 1, at, at + 700_000);
    writeFileSync(join(folder, "content.raw"), content);
    qemuImg("convert", "-f", "raw", "-O", "vdi", "-o", `static=${isStatic}`, "content.raw", "theirs.vdi");
    await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, vdiDriver] });
    await using disk = await graph.open(join(folder, "theirs.vdi"), { readOnly: true });
    const bytes = Buffer.alloc(disk.size);
    await disk.read(0, bytes);
    expect(bytes.equals(content)).toBe(true);
  });

  it("reads cloop as qemu-img does", async () => {
    const content = Buffer.alloc(64 * 1024);
    const random = new SeededRandom(2);
    for (let at = 0; at < content.length; at += 100) content.fill(random.below(256), at, at + random.below(100));
    writeFileSync(join(folder, "image.cloop"), cloopOf(content, 8192));
    qemuImg("convert", "-f", "cloop", "-O", "raw", "image.cloop", "theirs.raw");
    await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, cloopDriver] });
    await using disk = await graph.open(join(folder, "image.cloop"), { readOnly: true });
    const bytes = Buffer.alloc(disk.size);
    await disk.read(0, bytes);
    expect(bytes.equals(content)).toBe(true);
    expect(bytes.equals(readFileSync(join(folder, "theirs.raw")))).toBe(true);
  });
});

it.each([
  ["cloop.ts", 80],
  ["vdi.ts", 200],
])("%s has fewer than %i lines", (name, limit) => {
  expect(
    readFileSync(join(import.meta.dirname, name), "utf8")
      .trimEnd()
      .split("\n").length,
  ).toBeLessThan(limit);
});
