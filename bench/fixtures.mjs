/** Makes the files that the bench measures on: once a run, in a scratch folder, page cache warm. */

import { execFileSync, spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";

const MIB = 1024 * 1024;

/** Half random, a quarter text like a log's, a quarter zeros, in runs of 1 MiB. */
function writeMixed(path, mebibytes) {
  const fd = openSync(path, "w");
  const random = Buffer.alloc(MIB);
  for (let index = 0; index < mebibytes; index++) {
    const kind = index % 4;
    if (kind === 3) continue;
    writeSync(fd, kind === 2 ? logText(index) : randomFillSync(random), 0, MIB, index * MIB);
  }
  ftruncateSync(fd, mebibytes * MIB);
  closeSync(fd);
}

const WORDS =
  "request,served,from,cache,user,session,opened,closed,disk,block,cluster,timeout,after,retry,failed,ok,GET,POST,/index,/api/v1/items,table".split(
    ",",
  );

/** 1 MiB of lines with numbers and words: zlib brings it to a third or so, as it does with most files. */
function logText(seed) {
  let state = seed * 2_654_435_761;
  const random = (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const lines = [];
  for (let length = 0; length < MIB;) {
    const words = Array.from({ length: 4 + random(6) }, () => WORDS[random(WORDS.length)]);
    const line = `2026-11-${10 + random(20)}T${10 + random(14)}:${10 + random(50)}:${random(60_000)} [${random(4096).toString(16)}] ${words.join(" ")} ${random(1e9)}\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join("")).subarray(0, MIB);
}

export function qemuImg(...args) {
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

export const SECRET = ["--object", "secret,id=sec0,data=open"];
const LUKS = [...SECRET, "-o", "encrypt.format=luks,encrypt.key-secret=sec0,encrypt.iter-time=10"];
/** A disk of 1 TiB, all of its 16 million clusters allocated in a row: 160 MiB of tables, and data that is a hole. */
function writeFullTebibyte(path) {
  const cluster = 64 * 1024;
  const data = 2 ** 24;
  const l2Tables = data / (cluster / 8);
  const countsPerBlock = cluster / 2;
  const others = 3 + l2Tables;
  const blocks = Math.ceil((data + others) / (countsPerBlock - 1));
  const total = data + others + blocks;
  const [firstBlock, firstL2] = [3, 3 + blocks];
  const firstData = firstL2 + l2Tables;
  const fd = openSync(path, "w");
  const write = (index, bytes) => writeSync(fd, bytes, 0, cluster, index * cluster);
  const entries = (count, valueOf) => {
    const bytes = Buffer.alloc(cluster);
    for (let index = 0; index < count; index++) bytes.writeBigUInt64BE(valueOf(index), index * 8);
    return bytes;
  };
  const owned = (index) => 2n ** 63n + BigInt(index) * BigInt(cluster);
  write(0, headerOf({ size: data * cluster, l1Entries: l2Tables, l1Offset: 2 * cluster, refcountTableOffset: cluster }));
  write(
    1,
    entries(blocks, (index) => BigInt((firstBlock + index) * cluster)),
  );
  write(
    2,
    entries(l2Tables, (index) => owned(firstL2 + index)),
  );
  for (let block = 0; block < blocks; block++) {
    const bytes = Buffer.alloc(cluster);
    for (let index = 0; index < Math.min(countsPerBlock, total - block * countsPerBlock); index++) bytes.writeUInt16BE(1, index * 2);
    write(firstBlock + block, bytes);
  }
  for (let table = 0; table < l2Tables; table++)
    write(
      firstL2 + table,
      entries(cluster / 8, (index) => owned(firstData + (table * cluster) / 8 + index)),
    );
  ftruncateSync(fd, total * cluster);
  closeSync(fd);
}

/** Version 3, clusters of 64 KiB, refcounts of 16 bits, one cluster of refcount table. */
function headerOf({ size, l1Entries, l1Offset, refcountTableOffset }) {
  const bytes = Buffer.alloc(64 * 1024);
  bytes.writeUInt32BE(0x514649fb, 0);
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(BigInt(size), 24);
  bytes.writeUInt32BE(l1Entries, 36);
  bytes.writeBigUInt64BE(BigInt(l1Offset), 40);
  bytes.writeBigUInt64BE(BigInt(refcountTableOffset), 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(104, 100);
  return bytes;
}

/** Every recipe is run only when a row that is measured needs it. */
const recipes = {
  "mixed.raw": (path) => writeMixed(path, 1024),
  "same.raw": (path, need) => execFileSync("cp", ["--sparse=always", need("mixed.raw"), path]),
  "mixed.qcow2": (path, need) => qemuImg("convert", "-O", "qcow2", need("mixed.raw"), path),
  "mixed.qed": (path, need) => qemuImg("convert", "-O", "qed", need("mixed.raw"), path),
  "zlib.qcow2": (path, need) => qemuImg("convert", "-c", "-O", "qcow2", need("mixed.raw"), path),
  "zstd.qcow2": (path, need) => qemuImg("convert", "-c", "-o", "compression_type=zstd", "-O", "qcow2", need("mixed.raw"), path),
  "half.raw": (path) => writeMixed(path, 512),
  "luks.qcow2": (path, need) => qemuImg("convert", ...LUKS, "-O", "qcow2", need("half.raw"), path),
  "empty-luks.qcow2": (path, need) => qemuImg("convert", ...LUKS, "-O", "qcow2", need("empty.raw"), path),
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
  "empty.raw": (path) => qemuImg("create", "-f", "raw", path, "1M"),
  "empty.qcow2": (path) => qemuImg("create", "-f", "qcow2", path, "1M"),
  "sparse.raw": (path) => {
    const fd = openSync(path, "w");
    const block = randomFillSync(Buffer.alloc(MIB));
    ftruncateSync(fd, 20 * 1024 * MIB);
    for (let index = 0; index < 40; index++) writeSync(fd, block, 0, MIB, index * 500 * MIB);
    closeSync(fd);
  },
  "sparse.qcow2": (path, need) => qemuImg("convert", "-O", "qcow2", need("sparse.raw"), path),
  "full.qcow2": writeFullTebibyte,
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
