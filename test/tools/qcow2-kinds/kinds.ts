/** Kinds of qcow2 image: all that an image can be made with, every two of which come together in one of them. */

import { allPairs, type Combination } from "./all-pairs.ts";

export const KIND_CHOICES = {
  /** Bytes. */
  clusterSize: [512, 4096, 16_384, 65_536, 2_097_152],
  refcountBits: [1, 2, 4, 8, 16, 32, 64],
  version: [2, 3],
  extendedL2: [false, true],
  dataFile: ["none", "external", "raw"],
  compression: ["none", "zlib", "zstd"],
  /** `aes` is read by us, and written by QEMU alone. */
  encryption: ["none", "luks", "aes"],
  backing: ["none", "raw", "qcow2"],
  lazyRefcounts: [false, true],
} as const;

/** One of them. */
export type Qcow2Kind = Combination<typeof KIND_CHOICES>;

/** What `qemu-img create` makes, and the other program can use. */
export function isPossible(kind: Qcow2Kind): boolean {
  const { clusterSize, refcountBits, version, extendedL2, dataFile, compression, encryption, backing, lazyRefcounts } = kind;
  if (version === 2 && (refcountBits !== 16 || extendedL2 || dataFile !== "none" || compression === "zstd" || lazyRefcounts)) return false;
  if (extendedL2 && clusterSize < 16_384) return false;
  if (compression !== "none" && (dataFile !== "none" || encryption !== "none")) return false;
  return dataFile !== "raw" || (backing === "none" && encryption === "none");
}

export const QCOW2_KINDS: readonly Qcow2Kind[] = allPairs(KIND_CHOICES, isPossible);

/** Names a kind by what is not usual about it. */
export function nameOf(kind: Qcow2Kind): string {
  const { clusterSize, refcountBits, version, extendedL2, dataFile, compression, encryption, backing, lazyRefcounts } = kind;
  const words = [
    `clusters of ${clusterSize}`,
    `refcounts of ${refcountBits} bits`,
    version === 2 ? "version 2" : "",
    extendedL2 ? "extended L2" : "",
    dataFile === "none" ? "" : `${dataFile} data file`,
    compression === "none" ? "" : compression,
    encryption === "none" ? "" : encryption,
    backing === "none" ? "" : `over ${backing}`,
    lazyRefcounts ? "lazy" : "",
  ];
  return words.filter((word) => word !== "").join(", ");
}
