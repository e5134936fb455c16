/** Sound qcow2 images that the fuzz damages: small clusters, several L2 tables, every kind of entry. */

import { BlockGraph, type BlockNode, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { SeededRandom, TestStorage } from "@coblock/testing";
import { SparseBytes } from "./sparse-bytes.ts";

interface Shape {
  readonly values: Readonly<Record<string, string | number | boolean>>;
  readonly clusterSize: number;
  /** Guest bytes. */
  readonly size: number;
  readonly backed?: boolean;
  readonly snapshot?: boolean;
  readonly encrypted?: boolean;
}

/** Opens the image that is encrypted. */
export const QCOW2_SECRETS: Readonly<Record<string, string>> = { sec0: "correct horse" };
/** Keys that are short and quickly derived. */
const LUKS = {
  "encrypt.format": "luks",
  "encrypt.key-secret": "sec0",
  "encrypt.cipher-alg": "aes-128",
  "encrypt.cipher-mode": "ctr",
  "encrypt.iter-time": 0,
};
const LUKS_EXTENSION = 0x0537be77n;

const BACKING_SIZE = 300_000;

const SHAPES: Readonly<Record<string, Shape>> = {
  plain: { values: { cluster_size: 4096 }, clusterSize: 4096, size: 3 * 2 ** 21 + 512, snapshot: true },
  "version 2": { values: { cluster_size: 512, compat: "0.10" }, clusterSize: 512, size: 200_192, snapshot: true },
  "narrow refcounts": { values: { cluster_size: 512, refcount_bits: 1 }, clusterSize: 512, size: 131_072 },
  subclusters: { values: { cluster_size: 16384, extended_l2: true }, clusterSize: 16384, size: 2 ** 24 + 40_448 },
  "over a backing file": { values: { cluster_size: 1024, refcount_bits: 64 }, clusterSize: 1024, size: 600_064, backed: true },
  encrypted: { values: { cluster_size: 4096, ...LUKS }, clusterSize: 4096, size: 600_064, snapshot: true, encrypted: true },
};

/** Names of the images. */
export const QCOW2_BASES: readonly string[] = Object.keys(SHAPES);

/** A sound image, and where its tables are in the file, in bytes. */
export interface Qcow2Base {
  readonly bytes: SparseBytes;
  readonly clusterSize: number;
  readonly l1: { readonly offset: number; readonly entries: number };
  readonly l2: readonly number[];
  readonly refcountTable: number;
  readonly refcountBlocks: readonly number[];
  readonly snapshots: number;
  readonly backed: boolean;
  /** Where the LUKS header is, in the image that has one. */
  readonly luks: number | undefined;
}

const made = new Map(await Promise.all(Object.entries(SHAPES).map(async ([name, shape]) => [name, await make(shape)] as const)));

/** The image of that name; its bytes are the caller's own. */
export function qcow2Base(name: string): Qcow2Base {
  const base = made.get(name);
  if (base === undefined) throw new Error(`there is no image '${name}' to damage`);
  return { ...base, bytes: base.bytes.copy() };
}

const BACKING: SparseBytes = new SparseBytes(pattern(0xb0, BACKING_SIZE));

/** What the last image lies over; not to be changed. */
export function qcow2Backing(name: string): SparseBytes | undefined {
  return SHAPES[name]?.backed === true ? BACKING : undefined;
}

async function make(shape: Shape): Promise<Qcow2Base> {
  const storage = new TestStorage();
  await using graph = new BlockGraph({
    drivers: [storage.driver, rawDriver, qcow2Driver],
    secrets: QCOW2_SECRETS,
    entropy: new SeededRandom(1),
  });
  const backing = shape.backed === true ? { backing: { filename: "backing.raw", format: "raw" } } : {};
  await graph.create({ driver: "qcow2", filename: "test:image", size: shape.size, values: shape.values, ...backing });
  {
    await using disk = await graph.open({ driver: "qcow2", file: "test:image", backing: null, encrypt: { keySecret: "sec0" } });
    await fill(disk, shape);
  }
  return describe(new SparseBytes(storage.contentOf("test:image")), shape);
}

async function fill(disk: BlockNode, { clusterSize, size, snapshot = false, encrypted = false, values }: Shape): Promise<void> {
  const at = (cluster: number): number => cluster * clusterSize;
  await disk.write(0, pattern(1, at(3)));
  await disk.write(at(5) + 700, pattern(2, 900));
  await disk.writeZeroes(at(8), at(2));
  await disk.write(at(12), pattern(3, at(2)));
  if (values["compat"] === undefined) await disk.writeZeroes(at(12), at(1), { mayUnmap: false });
  for (const cluster of encrypted ? [] : [20, 21, 22]) await disk.writeCompressed(at(cluster), pattern(cluster, 64, at(1)));
  if (snapshot) await disk.snapshots.create("before");
  await disk.write(at(2), pattern(4, at(1)));
  await disk.write(size - 3000, pattern(5, 3000));
}

function describe(bytes: SparseBytes, { clusterSize, backed = false, encrypted = false }: Shape): Qcow2Base {
  const l1 = { entries: Number(word(bytes, 36) / 2n ** 32n), offset: Number(word(bytes, 40)) };
  const refcountTable = Number(word(bytes, 48));
  const pointers = (offset: number, count: number): number[] =>
    Array.from({ length: count }, (_, index) => Number((word(bytes, offset + index * 8) % 2n ** 56n) / 512n) * 512).filter((to) => to > 0);
  return {
    bytes,
    clusterSize,
    l1,
    l2: pointers(l1.offset, l1.entries),
    refcountTable,
    refcountBlocks: pointers(refcountTable, clusterSize / 8),
    snapshots: Number(word(bytes, 64)),
    backed,
    luks: encrypted ? luksOffset(bytes) : undefined,
  };
}

/** By the header extension that says so, the first of those behind a header of version 3. */
function luksOffset(bytes: SparseBytes): number {
  const start = Number(word(bytes, 96) % 2n ** 32n);
  for (let at = start; ; at += 8 + Math.ceil(Number(word(bytes, at) % 2n ** 32n) / 8) * 8)
    if (word(bytes, at) / 2n ** 32n === LUKS_EXTENSION) return Number(word(bytes, at + 8));
}

function word(bytes: SparseBytes, offset: number): bigint {
  const buffer = Buffer.alloc(8);
  bytes.read(offset, buffer);
  return buffer.readBigUInt64BE();
}

/** No two sectors alike, none zero; of `length` bytes, the first `noise` of which cannot be compressed. */
function pattern(seed: number, noise: number, length: number = noise): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let index = 0; index < words.length; index++)
    words[index] = index * 4 < noise ? Math.imul(index + 1, 0x9e3779b1) ^ (seed * 0x01000193) : seed;
  return new Uint8Array(words.buffer, 0, length);
}
