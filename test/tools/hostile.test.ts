/** Damaged and malicious headers: each command ends with one line and exit code 1, and opens nothing but the file it was given. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Workbench } from "./workbench.ts";

const bench = new Workbench();
let qcow2: Buffer;
let qed: Buffer;

beforeAll(() => {
  bench.qemuImg("create", "-q", "-f", "qcow2", "@sound.qcow2", "64M");
  bench.qemuIo("sound.qcow2", "qcow2", "write -P 1 0 64k");
  bench.qemuImg("create", "-q", "-f", "qed", "@sound.qed", "64M");
  bench.qemuIo("sound.qed", "qed", "write -P 1 0 64k");
  qcow2 = readFileSync(bench.path("sound.qcow2"));
  qed = readFileSync(bench.path("sound.qed"));
});
afterAll(() => bench[Symbol.dispose]());

function patched(image: Buffer, patch: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(image);
  patch(copy);
  return copy;
}

/** Hazards of the header: sizes and offsets that make careless readers allocate, loop or crash. */
const HEADERS: Readonly<Record<string, () => Buffer>> = {
  "qcow2 of version 99": () => patched(qcow2, (copy) => copy.writeUInt32BE(99, 4)),
  "qcow2 with 2^31 cluster bits": () => patched(qcow2, (copy) => copy.writeUInt32BE(31, 20)),
  "qcow2 with 0 cluster bits": () => patched(qcow2, (copy) => copy.writeUInt32BE(0, 20)),
  "qcow2 of 2^63 bytes": () => patched(qcow2, (copy) => copy.writeBigUInt64BE(1n << 63n, 24)),
  "qcow2 with a huge L1 table": () => patched(qcow2, (copy) => copy.writeUInt32BE(0xffff_ffff, 36)),
  "qcow2 with an L1 table that is too small": () => patched(qcow2, (copy) => copy.writeUInt32BE(0, 36)),
  "qcow2 with an unaligned L1 table": () => patched(qcow2, (copy) => copy.writeBigUInt64BE(0x30001n, 40)),
  "qcow2 with a huge refcount table": () => patched(qcow2, (copy) => copy.writeUInt32BE(0xffff_ffff, 56)),
  "qcow2 with 2^32 snapshots": () => patched(qcow2, (copy) => copy.writeUInt32BE(0xffff_ffff, 60)),
  "qcow2 with an unknown feature": () => patched(qcow2, (copy) => copy.writeUInt8(0x80, 72)),
  "qcow2 with a refcount order of 7": () => patched(qcow2, (copy) => copy.writeUInt32BE(7, 96)),
  "qcow2 with a header longer than its cluster": () => patched(qcow2, (copy) => copy.writeUInt32BE(0x20000, 100)),
  "qcow2 with a backing name of 2^32 bytes": () =>
    patched(qcow2, (copy) => {
      copy.writeBigUInt64BE(0x200n, 8);
      copy.writeUInt32BE(0xffff_fff0, 16);
    }),
  "qcow2 with an extension of 2^32 bytes": () => patched(qcow2, (copy) => copy.writeUInt32BE(0xffff_fff0, 116)),
  "qcow2 cut off in its header": () => qcow2.subarray(0, 60),
  "qed with clusters of 1 byte": () => patched(qed, (copy) => copy.writeUInt32LE(1, 4)),
  "qed with clusters of 2 GiB": () => patched(qed, (copy) => copy.writeUInt32LE(0x8000_0000, 4)),
  "qed with tables of 17 clusters": () => patched(qed, (copy) => copy.writeUInt32LE(17, 8)),
  "qed with tables of no clusters": () => patched(qed, (copy) => copy.writeUInt32LE(0, 8)),
  "qed with an unknown feature": () => patched(qed, (copy) => copy.writeUInt8(0x80, 16)),
  "qed with its L1 table behind the end": () => patched(qed, (copy) => copy.writeBigUInt64LE(1n << 40n, 40)),
  "qed of 2^63 bytes": () => patched(qed, (copy) => copy.writeBigUInt64LE(1n << 63n, 48)),
  "qed cut off in its header": () => qed.subarray(0, 40),
};

describe("headers", () => {
  it.each(Object.keys(HEADERS))("%s", async (name) => {
    writeFileSync(bench.path("hostile"), HEADERS[name]?.() ?? "");
    const format = name.startsWith("qed") ? "qed" : "qcow2";
    for (const words of [["info"], ["map"], ["check"], ["convert", "-O", "raw"], ["measure"], ["inspect"]]) {
      const target = words[0] === "convert" ? ["@target"] : [];
      const { exitCode, stdout, stderr } = await bench.ours([...words, "-f", format, "@hostile", ...target]);
      expect({ words, exitCode, stdout }).toEqual({ words, exitCode: 1, stdout: "" });
      expect(stderr).toMatch(/^coblock: [^\n]+\n$/);
      expect(stderr).not.toContain("internal error");
      expect(existsSync(bench.path("target"))).toBe(false);
    }
  });
});

describe("names in images", () => {
  it("info tells a backing file and opens it not", async () => {
    bench.qemuImg("create", "-q", "-u", "-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", "@nosy.qcow2", "1M");
    const { exitCode, stdout } = await bench.ours(["info", "@nosy.qcow2"]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("backing file: /etc/shadow\n");
  });

  it.each(["info --backing-chain", "map", "convert -O raw", "measure"])("%s takes no json: name from an image", async (words) => {
    bench.qemuImg(
      "create",
      "-q",
      "-u",
      "-f",
      "qcow2",
      "-b",
      'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}',
      "-F",
      "raw",
      "@json.qcow2",
      "1M",
    );
    const { exitCode, stdout, stderr } = await bench.ours([
      ...words.split(" "),
      "@json.qcow2",
      ...(words.startsWith("convert") ? ["@target"] : []),
    ]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(/^coblock: [^\n]*json:[^\n]*\n$/);
  });

  it("info does not open a data file", async () => {
    bench.qemuImg("create", "-q", "-f", "qcow2", "-o", `data_file=${bench.path("data")}`, "@external.qcow2", "1M");
    const image = readFileSync(bench.path("external.qcow2"));
    const at = image.indexOf(bench.path("data"));
    image.write("/nowhere", at, "latin1");
    writeFileSync(bench.path("external.qcow2"), image);
    const { exitCode, stdout } = await bench.ours(["info", "@external.qcow2"]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("data file: /nowhere");
  });

  it.each(["info --backing-chain", "map", "measure"])("%s ends at a chain that is a loop", async (words) => {
    bench.qemuImg("create", "-q", "-u", "-f", "qcow2", "-b", bench.path("loop-b.qcow2"), "-F", "qcow2", "@loop-a.qcow2", "1M");
    bench.qemuImg("create", "-q", "-u", "-f", "qcow2", "-b", bench.path("loop-a.qcow2"), "-F", "qcow2", "@loop-b.qcow2", "1M");
    const { exitCode, stdout, stderr } = await bench.ours([...words.split(" "), "@loop-a.qcow2"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(/^coblock: [^\n]*loop[^\n]*\n$/);
  });

  it("prints no control characters of a file name", async () => {
    const { stderr } = await bench.ours(["info", "@red\u001b[31m\nalert"]);
    expect(stderr.endsWith("\n")).toBe(true);
    expect(stderr.slice(0, -1)).toBe(stderr.slice(0, -1).replaceAll(/[^ -~]/g, ""));
  });
});
