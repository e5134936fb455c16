import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

import { formatOfFirstSector } from "./image-magics.ts";

function sector(text: string, offset = 0): Uint8Array {
  const bytes = Buffer.alloc(512);
  bytes.write(text, offset, "latin1");
  return bytes;
}

test.each(["qcow", "qcow2", "qed", "vdi", "vmdk", "vpc", "vhdx", "parallels"])("knows a %s image that qemu-img makes", (format) => {
  const directory = fs.mkdtempSync(join(tmpdir(), "image-magics-"));
  try {
    const filename = join(directory, "image");
    expect(spawnSync("qemu-img", ["create", "-f", format, filename, "4M"]).status).toBe(0);
    expect(formatOfFirstSector(fs.readFileSync(filename).subarray(0, 512))).toBe(format === "qcow" ? "qcow2" : format);
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
});

test.each([
  ["QFI\xfb", 0, "qcow2"],
  ["QED\0", 0, "qed"],
  ["COWD", 0, "vmdk"],
  ["LUKS\xba\xbe\0\x01", 0, "luks"],
  ["WithoutFreeSpace", 0, "parallels"],
  ["WithouFreSpacExt", 0, "parallels"],
  ["\x7f\x10\xda\xbe", 64, "vdi"],
  ["Bochs Virtual HD Image", 0, "bochs"],
  ["#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n", 0, "cloop"],
  ["# Disk DescriptorFile\n", 0, "vmdk"],
  ["# anything\n\r\n\nversion=1\n", 0, "vmdk"],
  ["version=3\r\nCID=fffffffe\n", 0, "vmdk"],
  [`#${"x".repeat(511)}`, 0, "vmdk"],
  [`# short\n${"\n".repeat(504)}`, 0, "vmdk"],
  [`# short\n${"\n".repeat(503)}\r`, 0, "vmdk"],
])("%j at byte %i is %s", (text, offset, format) => {
  expect(formatOfFirstSector(sector(text, offset))).toBe(format);
});

test.each([
  ["", 0],
  ["QFI\xfb", 1],
  ["QED", 4],
  ["\xfbIFQ", 0],
  ["#!/bin/sh\necho version=1\n", 0],
  ["version=4\n", 0],
  ["version=1", 0],
  ["# comment\nversion = 1\n", 0],
  ["\x7f\x10\xda\xbe", 0],
  ["conectiX", 0],
])("%j at byte %i is none", (text, offset) => {
  expect(formatOfFirstSector(sector(text, offset))).toBeUndefined();
});
