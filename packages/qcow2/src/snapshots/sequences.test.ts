/** Random requests among snapshots that come, go and are applied, by us and by QEMU, against a copy of the disk for each snapshot. */

import { writeFileSync } from "node:fs";
import type { BlockNode } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { contentOf, expectClean, hostGraph, qemuContent, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "../test/images.ts";

const KIB = 1024;

interface Kind {
  readonly options: string;
  /** Bytes. */
  readonly size: number;
  readonly cluster: number;
  /** Snapshots that refcounts have room for, with one more owner while one is applied. */
  readonly snapshots: number;
  readonly resizes?: boolean;
  readonly backing?: boolean;
  /** Compressed clusters share host clusters, and narrow refcounts have no room for many. */
  readonly compresses?: boolean;
}

const KINDS: readonly Kind[] = [
  { options: "cluster_size=512", size: 200 * KIB, cluster: 512, snapshots: 6, resizes: true, compresses: true },
  {
    options: "cluster_size=512,refcount_bits=64",
    size: 150 * KIB,
    cluster: 512,
    snapshots: 6,
    resizes: true,
    backing: true,
    compresses: true,
  },
  { options: "cluster_size=1k,compat=0.10", size: 300 * KIB, cluster: KIB, snapshots: 6, compresses: true },
  { options: "cluster_size=2k,refcount_bits=2", size: 500 * KIB, cluster: 2 * KIB, snapshots: 1, resizes: true },
  { options: "cluster_size=4k,refcount_bits=8", size: 1000 * KIB, cluster: 4 * KIB, snapshots: 5, backing: true, compresses: true },
  {
    options: "cluster_size=16k,extended_l2=on",
    size: 2000 * KIB,
    cluster: 16 * KIB,
    snapshots: 5,
    resizes: true,
    backing: true,
    compresses: true,
  },
  { options: "cluster_size=64k,refcount_bits=32", size: 4000 * KIB, cluster: 64 * KIB, snapshots: 5, compresses: true },
];

/** A disk and its snapshots by name, as they should be. */
class Model {
  disk: Buffer;
  readonly snapshots = new Map<string, Buffer>();
  readonly #base: Buffer;

  constructor(size: number, base: Buffer) {
    this.#base = base;
    this.disk = this.#shown(size);
  }

  resize(size: number): void {
    const grown = Buffer.alloc(size);
    this.disk.copy(grown);
    this.disk = grown;
  }

  #shown(size: number): Buffer {
    const bytes = Buffer.alloc(size);
    this.#base.copy(bytes);
    return bytes;
  }
}

class Sequence {
  readonly #kind: Kind;
  readonly #random: Seeded;
  readonly #model: Model;
  readonly #file: string;
  #names = 0;

  constructor(kind: Kind, random: Seeded, file: string, base: Buffer) {
    this.#kind = kind;
    this.#random = random;
    this.#model = new Model(kind.size, base);
    this.#file = file;
  }

  async round(): Promise<void> {
    await using graph = hostGraph();
    const caches = this.#random.once(2) ? { l2CacheEntrySize: 512, l2CacheSize: 0, refcountCacheSize: 0 } : {};
    const image = { driver: "qcow2", file: this.#file, ...caches } as const;
    await using disk = await graph.open(image, { discard: this.#random.once(2) ? "unmap" : "ignore" });
    for (let step = 0; step < 25; step++) await this.#step(disk);
    expect((await contentOf(disk)).equals(this.#model.disk)).toBe(true);
  }

  /** What QEMU does with the image in between. */
  theirs(): void {
    const { snapshots } = this.#model;
    const name = this.#someName();
    const kind = this.#random.below(4);
    if (kind === 0 && snapshots.size < this.#kind.snapshots) {
      const created = `q${this.#names++}`;
      qemuImg("snapshot", "-c", created, this.#file);
      snapshots.set(created, Buffer.from(this.#model.disk));
    } else if (kind === 1 && name !== undefined) {
      qemuImg("snapshot", "-a", name, this.#file);
      this.#model.disk = Buffer.from(snapshots.get(name) ?? "");
    } else if (kind === 2 && name !== undefined) {
      qemuImg("snapshot", "-d", name, this.#file);
      snapshots.delete(name);
    }
    const offset = this.#random.below(this.#model.disk.length / 512) * 512;
    const length = Math.min(this.#model.disk.length - offset, 8192);
    qemuIo(this.#file, `write -P 99 ${offset} ${length}`);
    this.#model.disk.fill(99, offset, offset + length);
  }

  async judge(): Promise<void> {
    expectClean(this.#file);
    expect(qemuContent(this.#file).equals(this.#model.disk)).toBe(true);
    for (const [name, content] of this.#model.snapshots) {
      await using graph = hostGraph();
      await using disk = await graph.open({ driver: "qcow2", file: this.#file, snapshot: { name }, readOnly: true });
      expect({ name, same: (await contentOf(disk)).equals(content) }).toEqual({ name, same: true });
      // QEMU shows a snapshot with the size that the disk has now.
      const common = Math.min(content.length, this.#model.disk.length);
      const theirs = qemuContent(this.#file, "-l", `snapshot.name=${name}`);
      expect({ name, same: theirs.subarray(0, common).equals(content.subarray(0, common)) }).toEqual({ name, same: true });
    }
    const listed = qemuImg("snapshot", "-l", this.#file).split("\n").slice(2, -1);
    expect(listed.map((line) => line.split(/\s+/)[1])).toEqual([...this.#model.snapshots.keys()]);
  }

  async #step(disk: BlockNode): Promise<void> {
    const { disk: bytes, snapshots } = this.#model;
    const offset = this.#random.below(bytes.length);
    const length = 1 + this.#random.below(Math.min(bytes.length - offset, 20 * this.#kind.cluster));
    const name = this.#someName();
    switch (this.#random.below(13)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const data = this.#random.bytes(length);
        await disk.write(offset, data);
        return void data.copy(bytes, offset);
      }
      case 4:
        await disk.writeZeroes(offset, length, { mayUnmap: this.#random.once(2) });
        return void bytes.fill(0, offset, offset + length);
      case 5:
      case 6:
        return this.#kind.compresses === true ? this.#compress(disk) : disk.flush();
      case 7:
        if (snapshots.size >= this.#kind.snapshots) return undefined;
        await disk.snapshots.create(`n${this.#names}`);
        return void snapshots.set(`n${this.#names++}`, Buffer.from(bytes));
      case 8:
        if (name === undefined || !this.#random.once(2)) return undefined;
        await disk.snapshots.apply(name);
        return void (this.#model.disk = Buffer.from(snapshots.get(name) ?? ""));
      case 9:
        if (name === undefined) return undefined;
        await disk.snapshots.delete(name);
        return void snapshots.delete(name);
      case 10:
        return this.#discard(disk);
      case 11:
        if (this.#kind.resizes !== true || bytes.length > 3 * this.#kind.size) return undefined;
        await disk.resize(bytes.length + 512 * this.#random.below(100));
        return this.#model.resize(disk.size);
      default:
        return disk.flush();
    }
  }

  async #compress(disk: BlockNode): Promise<void> {
    const { cluster } = this.#kind;
    const index = this.#random.below(Math.floor(this.#model.disk.length / cluster));
    const data = Buffer.alloc(cluster, this.#random.below(200));
    this.#random.bytes(cluster / 8).copy(data);
    await disk.writeCompressed(index * cluster, data);
    data.copy(this.#model.disk, index * cluster);
  }

  /** What a discard leaves is looked at, not foreseen. */
  async #discard(disk: BlockNode): Promise<void> {
    const offset = this.#random.below(this.#model.disk.length);
    const length = Math.min(this.#model.disk.length - offset, 10 * this.#kind.cluster);
    await disk.discard(offset, length);
    await disk.read(offset, this.#model.disk.subarray(offset, offset + length));
  }

  #someName(): string | undefined {
    const names = [...this.#model.snapshots.keys()];
    return names.length === 0 ? undefined : this.#random.pick(names);
  }
}

describe.each(KINDS)("$options", (kind) => {
  it.each([1, 2, 3])("seed %i", async (seed) => {
    using folder = new TemporaryDirectory();
    const random = new Seeded(seed);
    const base = kind.backing === true ? random.bytes(kind.size * 2) : Buffer.alloc(0);
    const file = folder.file("disk");
    if (kind.backing === true) {
      writeFileSync(folder.file("base"), base);
      qemuImg("create", "-q", "-f", "qcow2", "-o", kind.options, "-b", folder.file("base"), "-F", "raw", file, String(kind.size));
    } else qemuCreate(file, kind.size, kind.options);
    const sequence = new Sequence(kind, random, file, base);
    for (let round = 0; round < 5; round++) {
      await sequence.round();
      if (round % 2 === 1) sequence.theirs();
      await sequence.judge();
    }
  });
});
