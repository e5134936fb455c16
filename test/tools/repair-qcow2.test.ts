/** Random damage in random images, repaired: the real tool finds nothing left, and every cluster whose place was told reads as before. */

import { readFileSync, writeFileSync } from "node:fs";
import { BlockGraph, type BlockNode, type CheckResult, fileDriver, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { SeededRandom } from "@coblock/testing";
import { afterAll, describe, expect, it } from "vitest";
import { DamagedImage } from "./qcow2-damages.ts";
import { Workbench } from "./workbench.ts";

const KIB = 1024;
const SIZE = 3 * KIB * KIB + 5 * 512;
const COPIED = 2n ** 63n;
const ROUNDS = 4;
const SEEDS_A_ROUND = 8;

const SHAPES: readonly Readonly<Record<string, string | number | boolean>>[] = [
  { cluster_size: 512 },
  { cluster_size: 4096 },
  { cluster_size: 4096, refcount_bits: 1 },
  { cluster_size: 1024, refcount_bits: 64 },
  { cluster_size: 4096, refcount_bits: 8, lazy_refcounts: true },
  { cluster_size: 4096, compat: "0.10" },
  { cluster_size: 16_384, extended_l2: true },
  { cluster_size: 65_536, refcount_bits: 32 },
];

const bench = new Workbench();
afterAll(() => bench[Symbol.dispose]());

async function withDisk<T>(use: (disk: BlockNode) => Promise<T>, forCheck = false): Promise<T> {
  await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver] });
  await using disk = await graph.open({ driver: "qcow2", file: bench.path("image") }, { forCheck });
  return await use(disk);
}

/** What the disk reads as, and whether a snapshot shares some of it. */
interface Made {
  readonly content: Buffer;
  readonly hasSnapshot: boolean;
}

async function makeImage(shape: (typeof SHAPES)[number], random: SeededRandom): Promise<Made> {
  {
    await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver] });
    await graph.create({ driver: "qcow2", filename: bench.path("image"), size: SIZE, values: shape });
  }
  const clusterSize = Number(shape["cluster_size"]);
  const hasSnapshot = shape["refcount_bits"] !== 1 && random.chance(0.5);
  return withDisk(async (disk) => {
    for (let step = 0; step < 14; step++) {
      const offset = random.below(SIZE / 512) * 512;
      const length = Math.min(random.between(1, 120) * 512, SIZE - offset);
      if (step === 7 && hasSnapshot) await disk.snapshots.create("one");
      if (random.chance(0.15)) await disk.writeZeroes(offset, length, { mayUnmap: random.chance(0.5) });
      else if (random.chance(0.2)) {
        const start = offset - (offset % clusterSize);
        if (start + clusterSize <= SIZE) await disk.writeCompressed(start, Buffer.alloc(clusterSize, `${step} `));
      } else await disk.write(offset, random.bytes(length));
    }
    const content = Buffer.alloc(SIZE);
    await disk.read(0, content);
    return { content, hasSnapshot };
  });
}

/** One change of the metadata; what the disk reads as follows it. */
class Damager {
  readonly #image: DamagedImage;
  readonly #content: Buffer;
  readonly #random: SeededRandom;
  readonly #refcountBits: number;
  readonly #clusterSize: number;
  readonly #tableEntries: number;

  constructor(image: DamagedImage, content: Buffer, random: SeededRandom) {
    this.#image = image;
    this.#content = content;
    this.#random = random;
    this.#clusterSize = Number(image.clusterSize);
    this.#tableEntries = this.#clusterSize / image.entrySize;
    this.#refcountBits = image.bytes.readUInt32BE(4) === 2 ? 16 : 2 ** image.bytes.readUInt32BE(96);
  }

  damage(): void {
    this.#random.pick([
      () => this.#refcounts(),
      () => this.#refcountTable(),
      () => this.#flags(),
      () => this.#dropEntry(),
      () => this.#dropTable(),
      () => this.#doubleUse(),
      () => this.#image.snapshots === 0 && this.#crookedZeros(),
      () => this.#image.bytes.readUInt32BE(4) === 3 && this.#image.feature(this.#random.pick([1n, 2n])),
    ])();
  }

  #refcounts(): void {
    const { bytes, block } = this.#image;
    if (block < this.#clusterSize || block + this.#clusterSize > bytes.length) return;
    const length = Math.min(this.#clusterSize, Math.ceil((bytes.length / this.#clusterSize) * (this.#refcountBits / 8)));
    bytes.set(this.#random.bytes(this.#random.between(1, 9)).subarray(0, length), block + this.#random.below(Math.max(1, length - 9)));
  }

  #refcountTable(): void {
    const value = this.#image.get(this.#image.table);
    this.#image.set(this.#image.table, this.#random.pick([0n, value ^ 512n, value | 4n, 2n ** 40n]));
  }

  #flags(): void {
    const index = this.#anyEntry();
    const at = this.#entryAt(index);
    if (at !== undefined && this.#isPlain(at)) this.#image.flip(at, COPIED);
    const l1 = this.#image.l1 + this.#l1Index(index) * 8;
    if (this.#random.chance(0.3) && this.#image.get(l1) !== 0n) this.#image.flip(l1, COPIED);
  }

  #dropEntry(): void {
    const index = this.#anyEntry();
    const at = this.#entryAt(index);
    if (at === undefined) return;
    this.#image.bytes.fill(0, at, at + this.#image.entrySize);
    this.#readsAs(index, Buffer.alloc(this.#clusterSize));
  }

  #dropTable(): void {
    const index = this.#anyEntry();
    const first = this.#l1Index(index) * this.#tableEntries;
    this.#image.set(this.#image.l1 + this.#l1Index(index) * 8, 0n);
    for (let at = first; at < first + this.#tableEntries; at++) this.#readsAs(at, Buffer.alloc(this.#clusterSize));
  }

  #doubleUse(): void {
    const [from, to] = [this.#anyEntry(), this.#anyEntry()];
    const [source, target] = [this.#entryAt(from), this.#entryAt(to)];
    const isLast = (Math.max(from, to) + 1) * this.#clusterSize > SIZE;
    if (this.#refcountBits < 8 || source === undefined || target === undefined || isLast) return;
    this.#image.bytes.copyWithin(target, source, source + this.#image.entrySize);
    this.#readsAs(to, this.#content.subarray(from * this.#clusterSize, (from + 1) * this.#clusterSize));
  }

  /** Zeros that keep space in the middle of a cluster. */
  #crookedZeros(): void {
    const index = this.#anyEntry();
    const at = this.#entryAt(index);
    if (at === undefined || !this.#isPlain(at) || this.#image.entrySize !== 8 || this.#clusterSize === 512) return;
    if (this.#image.bytes.readUInt32BE(4) === 2) return;
    this.#image.set(at, (this.#image.get(at) | 1n) ^ 512n);
    this.#readsAs(index, Buffer.alloc(this.#clusterSize));
  }

  #readsAs(index: number, bytes: Buffer): void {
    if (index * this.#clusterSize < SIZE) this.#content.set(bytes.subarray(0, SIZE - index * this.#clusterSize), index * this.#clusterSize);
  }

  #anyEntry(): number {
    return this.#random.below(Math.ceil(SIZE / this.#clusterSize));
  }

  #l1Index(index: number): number {
    return Math.floor(index / this.#tableEntries);
  }

  /** Where the entry of guest cluster `index` lies, if it has a table. */
  #entryAt(index: number): number | undefined {
    const table = this.#image.offsetAt(this.#image.l1 + this.#l1Index(index) * 8);
    return table === 0 ? undefined : table + (index % this.#tableEntries) * this.#image.entrySize;
  }

  /** The entry leads to a whole cluster. */
  #isPlain(at: number): boolean {
    return (
      (this.#image.get(at) & (2n ** 62n)) === 0n && this.#image.offsetAt(at) !== 0 && this.#image.offsetAt(at) % this.#clusterSize === 0
    );
  }
}

function repair(): Promise<CheckResult | undefined> {
  return withDisk((disk) => disk.check({ repair: "all" }), true);
}

function theirContent(...words: readonly string[]): Buffer {
  bench.qemuImg("convert", "-f", "qcow2", ...words, "-O", "raw", "@image", "@raw");
  return readFileSync(bench.path("raw"));
}

async function expectRepaired(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const shape = random.pick(SHAPES);
  const { content, hasSnapshot } = await makeImage(shape, random);
  const image = new DamagedImage(readFileSync(bench.path("image")));
  const damager = new Damager(image, content, random);
  for (let count = random.between(1, 5); count > 0; count--) damager.damage();
  writeFileSync(bench.path("image"), image.bytes);
  const snapshot = hasSnapshot ? theirContent("-l", "one") : undefined;
  const about = `seed ${seed}: ${JSON.stringify(shape)}`;
  expect(await repair(), about).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
  const check = bench.theirs(["check", "-f", "qcow2", "@image"]);
  expect({ about, exitCode: check.exitCode, stderr: check.stderr }).toEqual({ about, exitCode: 0, stderr: "" });
  expect(theirContent().equals(content), about).toBe(true);
  if (snapshot !== undefined) expect(theirContent("-l", "one").equals(snapshot), about).toBe(true);
  const repaired = readFileSync(bench.path("image"));
  await repair();
  expect(readFileSync(bench.path("image")).equals(repaired), about).toBe(true);
}

describe("random damage in random images", () => {
  const rounds = Array.from({ length: ROUNDS }, (_, round) => [round * SEEDS_A_ROUND + 1, (round + 1) * SEEDS_A_ROUND] as const);
  it.each(rounds)("seeds %i to %i: what is repaired is sound for QEMU, and reads as before", async (first, last) => {
    for (let seed = first; seed <= last; seed++) await expectRepaired(seed);
  });

  it("seed 1024: an entry is mended whose space lies over a cluster that has no room for another reference", () => expectRepaired(1024));
});
