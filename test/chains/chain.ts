/** Three-layer chains, raw under QED under qcow2, described so that the real tools and Coblock can both make them. */

import { SeededRandom } from "@coblock/testing";

export interface ChainShape {
  readonly name: string;
  readonly seed: number;
  /** Bytes, multiples of 512 and mostly of nothing else. */
  readonly baseSize: number;
  readonly middleSize: number;
  readonly topSize: number;
  readonly qed: { readonly clusterSize: number; readonly tableSize: number };
  readonly qcow2: { readonly clusterSize: number; readonly compat: "0.10" | "1.1" };
}

export interface Change {
  readonly kind: "write" | "zero" | "compressed";
  readonly offset: number;
  readonly length: number;
  readonly pattern: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** Every qcow2 cluster size in both versions, with QED's cluster and table sizes going round; each layer may be the longest. */
export function allShapes(): ChainShape[] {
  const shapes: ChainShape[] = [];
  for (let bits = 9; bits <= 21; bits++) {
    for (const compat of ["0.10", "1.1"] as const) {
      const seed = bits * 2 + (compat === "1.1" ? 1 : 0);
      const random = new SeededRandom(seed);
      const size = (): number => 512 * (1 + random.below((6 * MIB) / 512));
      const qed = { clusterSize: 2 ** (12 + (seed % 9)), tableSize: 2 ** (1 + (seed % 4)) };
      const qcow2 = { clusterSize: 2 ** bits, compat };
      const name = `qcow2 ${compat}, clusters of ${qcow2.clusterSize}; QED clusters of ${qed.clusterSize}, tables of ${qed.tableSize}`;
      shapes.push({ name, seed, baseSize: size(), middleSize: size(), topSize: size(), qed, qcow2 });
    }
  }
  return shapes;
}

/** Aligned and unaligned, overlapping, some within one cluster and some over many; `compressed` ones are whole clusters that are written once. */
export function changesFor(shape: ChainShape, layer: "middle" | "top", options: { readonly compressed: boolean }): Change[] {
  const random = new SeededRandom(shape.seed * 10 + (layer === "top" ? 1 : 2));
  const size = layer === "top" ? shape.topSize : shape.middleSize;
  const { clusterSize } = layer === "top" ? shape.qcow2 : shape.qed;
  const changes: Change[] = [];
  if (layer === "top" && options.compressed) changes.push(...compressedFor(size, clusterSize, random));
  for (let count = 0; count < 14; count++) {
    const offset = 512 * random.below(size / 512);
    const length = Math.min(512 * (1 + random.below((random.next() < 0.3 ? MIB : 3 * clusterSize) / 512)), size - offset, MIB);
    changes.push({ kind: random.next() < 0.3 ? "zero" : "write", offset, length, pattern: 1 + random.below(255) });
  }
  return changes;
}

function compressedFor(size: number, clusterSize: number, random: SeededRandom): Change[] {
  const clusters = Math.floor(size / clusterSize);
  const chosen = new Set(Array.from({ length: Math.min(4, clusters) }, () => random.below(clusters)));
  return [...chosen].map((cluster) => ({
    kind: "compressed",
    offset: cluster * clusterSize,
    length: clusterSize,
    pattern: 1 + random.below(255),
  }));
}

/** The bytes that the chain shows: `base` under the changes of the middle and of the top, each layer cut or filled up with zeros. */
export function expectedBytes(shape: ChainShape, base: Uint8Array, middle: readonly Change[], top: readonly Change[]): Buffer {
  return applied(applied(Buffer.from(base), shape.middleSize, middle), shape.topSize, top);
}

function applied(below: Buffer, size: number, changes: readonly Change[]): Buffer {
  const bytes = Buffer.alloc(size);
  below.copy(bytes, 0, 0, Math.min(size, below.length));
  for (const { kind, offset, length, pattern } of changes) bytes.fill(kind === "zero" ? 0 : pattern, offset, offset + length);
  return bytes;
}
