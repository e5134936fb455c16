/** Images of many kinds, made by the real tools. */

import { readFileSync, writeFileSync } from "node:fs";
import type { Workbench } from "./workbench.ts";

/** Names of images that both tools open, without an extension they are raw. */
export const IMAGES = [
  "base.qcow2",
  "middle.qcow2",
  "top.qed",
  "alone.qed",
  "holes",
  "odd",
  "empty",
  "v2.qcow2",
  "tiny-clusters.qcow2",
  "large-clusters.qcow2",
  "subclusters.qcow2",
  "narrow.qcow2",
  "wide.qcow2",
  "lazy.qcow2",
  "snapshots.qcow2",
  "bitmaps.qcow2",
  "external.qcow2",
  "longer.qcow2",
] as const;

export function makeImages(bench: Workbench): void {
  makeChain(bench);
  makeRaw(bench);
  makeKinds(bench);
}

/** Three layers, each longer than the one below. */
function makeChain(bench: Workbench): void {
  bench.qemuImg("create", "-q", "-f", "qcow2", "@base.qcow2", "128M");
  bench.qemuIo(
    "base.qcow2",
    "qcow2",
    "write -P 1 0 1M",
    "write -z 2M 1M",
    "write -c -P 7 16M 64k",
    "write -c -P 8 16448k 64k",
    "write -P 3 120M 64k",
    "write -P 0 4M 256k",
  );
  bench.qemuImg("create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "@middle.qcow2", "192M");
  bench.qemuIo("middle.qcow2", "qcow2", "write -P 5 0 64k", "write -z 512k 64k", "write -P 3 150M 64k");
  bench.qemuImg("create", "-q", "-f", "qed", "-b", "middle.qcow2", "-F", "qcow2", "@top.qed", "256M");
  bench.qemuIo("top.qed", "qed", "write -P 6 64k 64k", "write -z 256k 64k", "write -P 3 200M 100k");
  bench.qemuImg("create", "-q", "-f", "qed", "-o", "cluster_size=16k,table_size=2", "@alone.qed", "64M");
  bench.qemuIo("alone.qed", "qed", "write -P 1 5k 40k", "write -z 64k 32k", "write -P 9 63M 1M");
  bench.qemuImg("create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "@longer.qcow2", "1G");
}

function makeRaw(bench: Workbench): void {
  bench.qemuImg("create", "-q", "-f", "raw", "@holes", "8M");
  bench.qemuIo("holes", "raw", "write -P 1 1M 64k", "write -P 2 3M 4k", "write -P 0 5M 512k");
  writeFileSync(bench.path("odd"), Buffer.alloc(70_001, 3));
  writeFileSync(bench.path("empty"), "");
}

function makeKinds(bench: Workbench): void {
  const kinds: Readonly<Record<string, string>> = {
    "v2.qcow2": "compat=0.10",
    "tiny-clusters.qcow2": "cluster_size=512",
    "large-clusters.qcow2": "cluster_size=2M",
    "subclusters.qcow2": "extended_l2=on,cluster_size=128k",
    "narrow.qcow2": "refcount_bits=1,cluster_size=4k",
    "wide.qcow2": "refcount_bits=64",
    "lazy.qcow2": "lazy_refcounts=on",
    "snapshots.qcow2": "cluster_size=32k",
    "bitmaps.qcow2": "cluster_size=64k",
    "external.qcow2": `data_file=${bench.path("external.data")}`,
  };
  for (const [name, options] of Object.entries(kinds)) {
    bench.qemuImg("create", "-q", "-f", "qcow2", "-o", options, `@${name}`, "20M");
    bench.qemuIo(name, "qcow2", "write -P 1 0 256k", "write -P 2 3M 256k", "write -P 3 19M 1M", "write -P 4 320k 64k");
  }
  for (const name of ["one", "a name that is longer than its column", "grün"]) bench.qemuImg("snapshot", "-c", name, "@snapshots.qcow2");
  bench.qemuIo("snapshots.qcow2", "qcow2", "write -P 9 10k 100k");
  bench.qemuImg("bitmap", "--add", "@bitmaps.qcow2", "first");
  bench.qemuImg("bitmap", "--add", "-g", "128k", "@bitmaps.qcow2", "second");
  bench.qemuImg("bitmap", "--disable", "@bitmaps.qcow2", "second");
}

/** Damage by name, all of it in copies of one sound image. */
export const DAMAGES = [
  "leak",
  "refcount-zero",
  "copied-flag",
  "l2-past-end",
  "l2-unaligned",
  "l1-past-end",
  "refcount-table-past-end",
  "double-use",
] as const;

export function makeDamaged(bench: Workbench): void {
  bench.qemuImg("create", "-q", "-f", "qcow2", "@sound.qcow2", "64M");
  bench.qemuIo("sound.qcow2", "qcow2", "write -P 1 0 1M", "write -P 2 40M 128k");
  const sound = readFileSync(bench.path("sound.qcow2"));
  for (const damage of DAMAGES) {
    const image = Buffer.from(sound);
    applyDamage(image, damage);
    writeFileSync(bench.path(`${damage}.qcow2`), image);
  }
}

const COPIED = 0x8000_0000_0000_0000n;
const OFFSET_BITS = 0x00ff_ffff_ffff_fe00n;

function applyDamage(image: Buffer, damage: (typeof DAMAGES)[number]): void {
  const l1Offset = Number(image.readBigUInt64BE(40));
  const refcountTableOffset = Number(image.readBigUInt64BE(48));
  const l2Offset = Number(image.readBigUInt64BE(l1Offset) & OFFSET_BITS);
  const refcountBlockOffset = Number(image.readBigUInt64BE(refcountTableOffset));
  const firstCluster = image.readBigUInt64BE(l2Offset) & OFFSET_BITS;
  const firstRefcount = refcountBlockOffset + 2 * Number(firstCluster >> 16n);
  switch (damage) {
    case "leak":
      return void image.fill(0, l2Offset, l2Offset + 16);
    case "refcount-zero":
      return void image.writeUInt16BE(0, firstRefcount);
    case "copied-flag":
      return void image.writeBigUInt64BE(firstCluster, l2Offset);
    case "l2-past-end":
      return void image.writeBigUInt64BE(COPIED | (1n << 40n), l2Offset);
    case "l2-unaligned":
      return void image.writeBigUInt64BE(COPIED | (firstCluster + 0x200n), l2Offset);
    case "l1-past-end":
      return void image.writeBigUInt64BE(COPIED | (1n << 40n), l1Offset);
    case "refcount-table-past-end":
      return void image.writeBigUInt64BE(1n << 40n, refcountTableOffset);
    case "double-use":
      return void image.writeBigUInt64BE(COPIED | firstCluster, l2Offset + 8);
  }
}
