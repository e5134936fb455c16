/** Makes the files that the bench measures on: once a run, in a scratch folder, page cache warm. */

import { execFileSync, spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";

const MIB = 1024 * 1024;

/** Half random, a quarter compressible text, a quarter zeros, in runs of 1 MiB. */
function writeMixed(path, mebibytes) {
  const fd = openSync(path, "w");
  const random = Buffer.alloc(MIB);
  const line = Buffer.from("The quick brown fox jumps over the lazy dog, 0123456789 times. ");
  const text = Buffer.alloc(MIB);
  for (let at = 0; at < MIB; at += line.length) line.copy(text, at, 0, Math.min(line.length, MIB - at));
  for (let index = 0; index < mebibytes; index++) {
    const kind = index % 4;
    if (kind === 3) continue;
    if (kind === 2) text.writeUInt32LE(index, 64);
    else randomFillSync(random);
    writeSync(fd, kind === 2 ? text : random, 0, MIB, index * MIB);
  }
  ftruncateSync(fd, mebibytes * MIB);
  closeSync(fd);
}

function qemuImg(...args) {
  execFileSync("qemu-img", args, { stdio: "ignore" });
}

/** `commands` go through standard input: an argument list would be too long. */
function qemuIo(path, commands) {
  const result = spawnSync("qemu-io", ["-f", "qcow2", path], {
    input: `${commands.join("\n")}\nquit\n`,
    stdio: ["pipe", "ignore", "inherit"],
  });
  if (result.status !== 0) throw new Error(`qemu-io failed on ${path}`);
}

/** Every recipe is run only when a row that is measured needs it. */
const recipes = {
  "mixed.raw": (path) => writeMixed(path, 1024),
  "same.raw": (path, need) => execFileSync("cp", ["--sparse=always", need("mixed.raw"), path]),
  "mixed.qcow2": (path, need) => qemuImg("convert", "-O", "qcow2", need("mixed.raw"), path),
  "mixed.qed": (path, need) => qemuImg("convert", "-O", "qed", need("mixed.raw"), path),
  "zlib.qcow2": (path, need) => qemuImg("convert", "-c", "-O", "qcow2", need("mixed.raw"), path),
  "read.raw": (path) => {
    const fd = openSync(path, "w");
    const block = Buffer.alloc(MIB, 0x5a);
    for (let index = 0; index < 1024; index++) writeSync(fd, block, 0, MIB, index * MIB);
    closeSync(fd);
  },
  "read.qcow2": (path, need) => qemuImg("convert", "-O", "qcow2", need("read.raw"), path),
  "chain.qcow2": (path, need) => {
    qemuImg("create", "-f", "qcow2", "-b", need("read.qcow2"), "-F", "qcow2", `${path}.middle`);
    qemuImg("create", "-f", "qcow2", "-b", `${path}.middle`, "-F", "qcow2", path);
  },
  "sparse.raw": (path) => {
    const fd = openSync(path, "w");
    const block = randomFillSync(Buffer.alloc(MIB));
    ftruncateSync(fd, 20 * 1024 * MIB);
    for (let index = 0; index < 40; index++) writeSync(fd, block, 0, MIB, index * 500 * MIB);
    closeSync(fd);
  },
  "sparse.qcow2": (path, need) => qemuImg("convert", "-O", "qcow2", need("sparse.raw"), path),
  "map.qcow2": (path) => {
    qemuImg("create", "-f", "qcow2", path, "1T");
    const commands = [];
    for (let index = 0; index < 12_000; index++) {
      const offset = index * 80 * MIB;
      commands.push(index % 2 === 0 ? `write -q ${offset} 4k` : `write -q -z ${offset} 64k`);
    }
    qemuIo(path, commands);
  },
};

export function fixtures(folder) {
  const made = new Map();
  const need = (name) => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const path = join(folder, name);
    recipes[name](path, need);
    made.set(name, path);
    return path;
  };
  return need;
}

/** Reads the file once, so that it is in the page cache. */
export function warm(path) {
  spawnSync("cat", [path], { stdio: ["ignore", "ignore", "inherit"] });
}
