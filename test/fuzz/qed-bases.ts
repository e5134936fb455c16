/** Sound QED images that the fuzz damages, written byte by byte: small clusters, several L2 tables, every kind of entry. */

import { SparseBytes } from "./sparse-bytes.ts";

export const CLUSTER = 4096;
/** Bytes; shorter than the images above it. */
const BACKING_SIZE = 2 * 1024 * 1024 + 9 * CLUSTER + 700;

/** What a sound image is made of. `data` and `zero`: guest clusters. */
interface Shape {
  readonly tableClusters: number;
  readonly headerClusters: number;
  readonly size: number;
  readonly features: bigint;
  readonly backingName?: string;
  readonly data: readonly number[];
  readonly zero: readonly number[];
}

const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, index) => first + index);

const SHAPES: Readonly<Record<string, Shape>> = {
  "tables of one cluster": {
    tableClusters: 1,
    headerClusters: 1,
    size: 1060 * CLUSTER,
    features: 0n,
    data: [...range(0, 5), 7, 9, 8, ...range(600, 3), 1059],
    zero: range(20, 6),
  },
  "tables of two clusters": {
    tableClusters: 2,
    headerClusters: 2,
    size: 1080 * CLUSTER + 512,
    features: 0n,
    data: [3, 2, 1, ...range(1020, 8), 1080],
    zero: [0, ...range(1030, 4)],
  },
  "not closed cleanly": {
    tableClusters: 2,
    headerClusters: 1,
    size: 1100 * CLUSTER,
    features: 2n,
    data: [...range(0, 6), ...range(1030, 3)],
    zero: range(10, 2),
  },
  "over a backing file": {
    tableClusters: 1,
    headerClusters: 1,
    size: 700 * CLUSTER,
    features: 5n,
    backingName: "backing.raw",
    data: [5, 6, ...range(510, 4), 690],
    zero: [0, 7, ...range(600, 3)],
  },
};

/** Names of the images. */
export const BASES: readonly string[] = Object.keys(SHAPES);

/** A sound image, and where its parts are. */
export interface QedBase {
  readonly bytes: SparseBytes;
  readonly l1Offset: number;
  readonly tableLength: number;
  readonly l2: readonly { readonly l1Index: number; readonly offset: number }[];
  /** Data clusters, with the entry that leads to each. */
  readonly data: readonly { readonly offset: number; readonly entryAt: number }[];
}

/** The image of that name, made anew. */
export function qedBase(name: string): QedBase {
  const shape = SHAPES[name];
  if (shape === undefined) throw new Error(`there is no image '${name}' to damage`);
  const bytes = new SparseBytes();
  const tableLength = shape.tableClusters * CLUSTER;
  const l1Offset = shape.headerClusters * CLUSTER;
  bytes.write(0, header(shape, l1Offset));
  bytes.resize(l1Offset + tableLength);
  const l2: { l1Index: number; offset: number }[] = [];
  const data: { offset: number; entryAt: number }[] = [];
  const entryAt = (cluster: number): number => {
    const l1Index = Math.floor((cluster * 8) / tableLength);
    let table = l2.find((one) => one.l1Index === l1Index);
    if (table === undefined) {
      table = { l1Index, offset: bytes.size };
      l2.push(table);
      bytes.resize(bytes.size + tableLength);
      bytes.write(l1Offset + l1Index * 8, word(table.offset));
    }
    return table.offset + ((cluster * 8) % tableLength);
  };
  for (const cluster of shape.data) {
    const at = entryAt(cluster);
    const offset = bytes.size;
    data.push({ offset, entryAt: at });
    bytes.write(offset, pattern(cluster + 1, CLUSTER));
    bytes.write(at, word(offset));
  }
  for (const cluster of shape.zero) bytes.write(entryAt(cluster), word(1));
  return { bytes, l1Offset, tableLength, l2, data };
}

const BACKING: SparseBytes = new SparseBytes(pattern(0xb0, BACKING_SIZE));

/** What the fourth image lies over; not to be changed. */
export function backingBytes(name: string): SparseBytes | undefined {
  return SHAPES[name]?.backingName === undefined ? undefined : BACKING;
}

function header(shape: Shape, l1Offset: number): Uint8Array {
  const name = new TextEncoder().encode(shape.backingName ?? "");
  const bytes = new Uint8Array(64 + name.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x00444551, true);
  view.setUint32(4, CLUSTER, true);
  view.setUint32(8, shape.tableClusters, true);
  view.setUint32(12, shape.headerClusters, true);
  view.setBigUint64(16, shape.features, true);
  view.setBigUint64(40, BigInt(l1Offset), true);
  view.setBigUint64(48, BigInt(shape.size), true);
  view.setUint32(56, name.length === 0 ? 0 : 64, true);
  view.setUint32(60, name.length, true);
  bytes.set(name, 64);
  return bytes;
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

/** No two sectors alike, none zero. */
function pattern(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, Math.floor(length / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + 1, 0x9e3779b1) ^ (seed * 0x01000193);
  return bytes;
}
