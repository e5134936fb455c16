/** The files that the lines for qemu-img begin with: small, of many kinds, made by the real tools. */

import { execFileSync } from "node:child_process";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { main } from "@coblock/cli";

export async function makeImgFiles(folder: string): Promise<void> {
  const run = (program: string, ...words: readonly string[]): void =>
    void execFileSync(program, words, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  const image = (...words: readonly string[]): void => run("qemu-img", "create", "-q", ...words);
  const fill = (format: string, name: string, ...commands: readonly string[]): void =>
    run("qemu-io", "-f", format, ...commands.flatMap((command) => ["-c", command]), name);
  makeRaw(folder);
  image("-f", "qcow2", "base.qcow2", "1M");
  fill("qcow2", "base.qcow2", "write -P 1 0 256k", "write -c -P 7 512k 64k");
  image("-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "middle.qcow2");
  fill("qcow2", "middle.qcow2", "write -P 2 128k 64k", "write -z 512k 64k");
  image("-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", "top.qcow2", "2M");
  fill("qcow2", "top.qcow2", "write -P 3 704k 1k", "write -P 4 1M 64k");
  image("-f", "qcow2", "-b", "copy.raw", "-F", "raw", "on-raw.qcow2");
  fill("qcow2", "on-raw.qcow2", "write -P 9 0 4k");
  image("-u", "-f", "qcow2", "-b", "missing.qcow2", "-F", "qcow2", "orphan.qcow2", "1M");
  image("-f", "qcow2", "-o", "compat=0.10", "v2.qcow2", "1M");
  fill("qcow2", "v2.qcow2", "write -P 5 64k 64k");
  image("-f", "qcow2", "snapshots.qcow2", "1M");
  fill("qcow2", "snapshots.qcow2", "write -P 6 0 128k");
  run("qemu-img", "snapshot", "-c", "one", "snapshots.qcow2");
  fill("qcow2", "snapshots.qcow2", "write -P 7 64k 128k");
  run("qemu-img", "snapshot", "-c", "two", "snapshots.qcow2");
  image("-f", "qcow2", "empty.qcow2", "1M");
  image("-f", "qed", "disk.qed", "1M");
  fill("qed", "disk.qed", "write -P 4 64k 128k");
  image("-f", "qed", "-b", "base.qcow2", "-F", "qcow2", "over.qed");
  fill("qed", "over.qed", "write -P 8 0 64k");
  await makeEncrypted(join(folder, "luks.qcow2"));
}

/** By ours: the real tool measures how fast keys are made, and gives up on a machine with much to do. */
async function makeEncrypted(path: string): Promise<void> {
  const luks = "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
  const words = ["create", "-q", "--object", "secret,id=s,data=pass", "-f", "qcow2", "-o", luks, path, "1M"];
  const silent = { write: () => true };
  if ((await main(words, { stdout: silent, stderr: silent })) !== 0) throw new Error(`${path} could not be made`);
}

function makeRaw(folder: string): void {
  const write = (name: string, bytes: Uint8Array | string): void => writeFileSync(join(folder, name), bytes);
  const disk = Buffer.alloc(1024 * 1024);
  disk.fill(0x11, 0, 65_536).fill(0x22, 262_144, 270_336);
  write("disk.raw", disk);
  write("copy.raw", disk);
  write("larger.raw", Buffer.concat([disk, Buffer.alloc(65_536)]));
  write("other.raw", Buffer.from(disk).fill(0x33, 300_000, 300_010));
  write("odd.raw", Buffer.alloc(70_001, 3));
  write("empty.raw", "");
  write("sparse.raw", "");
  truncateSync(join(folder, "sparse.raw"), 1024 * 1024);
  write("secret", "pass");
  write("short.qcow2", Buffer.from("QFI\u00fb\0\0\0\u0003", "latin1"));
}
