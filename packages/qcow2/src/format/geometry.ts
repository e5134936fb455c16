/** Address arithmetic: where a guest offset is found in L1 and L2, and where a host offset is counted. All in exact numbers. */

import type { Header } from "./header.ts";
import { EXTENDED_L2, EXTERNAL_DATA_FILE } from "./features.ts";

/** Sizes and rules that follow from the header; lengths are bytes. */
export interface Geometry {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly clusterSize: number;
  readonly extendedL2: boolean;
  /** Bit 0 of an L2 entry means "reads as zeros": version 3 without extended entries. */
  readonly zeroFlag: boolean;
  /** Guest clusters lie in a data file of their own, each at its guest offset. */
  readonly externalData: boolean;
  /** Bytes of one L2 entry: 8, or 16 with extended L2 entries. */
  readonly l2EntrySize: number;
  readonly l2Entries: number;
  /** Guest bytes that one L2 table maps. */
  readonly l2Coverage: number;
  /** 32 with extended L2 entries, else 1. */
  readonly subclusters: number;
  readonly subclusterSize: number;
  readonly refcountBits: number;
  /** Refcounts in one refcount block. */
  readonly refcountsPerBlock: number;
}

/** The cluster bits and the refcount order were validated before (`checkHeader`). */
export function geometryOf(header: Pick<Header, "version" | "clusterBits" | "refcountOrder" | "incompatible">): Geometry {
  const { version, clusterBits, refcountOrder, incompatible } = header;
  const extendedL2 = (incompatible & EXTENDED_L2) !== 0n;
  const clusterSize = 2 ** clusterBits;
  const l2EntrySize = extendedL2 ? 16 : 8;
  const l2Entries = clusterSize / l2EntrySize;
  const subclusters = extendedL2 ? 32 : 1;
  const refcountBits = 2 ** refcountOrder;
  return {
    version,
    clusterBits,
    clusterSize,
    extendedL2,
    zeroFlag: version === 3 && !extendedL2,
    externalData: (incompatible & EXTERNAL_DATA_FILE) !== 0n,
    l2EntrySize,
    l2Entries,
    l2Coverage: clusterSize * l2Entries,
    subclusters,
    subclusterSize: clusterSize / subclusters,
    refcountBits,
    refcountsPerBlock: (clusterSize * 8) / refcountBits,
  };
}

/** L1 entry of the table that maps the byte at `guestOffset`. */
export function l1IndexOf(geometry: Geometry, guestOffset: number): number {
  return Math.floor(guestOffset / geometry.l2Coverage);
}

/** Entry in its L2 table of the cluster that holds the byte at `guestOffset`. */
export function l2IndexOf(geometry: Geometry, guestOffset: number): number {
  return Math.floor((guestOffset % geometry.l2Coverage) / geometry.clusterSize);
}

/** L1 entries that a disk of `size` bytes needs. */
export function l1EntriesFor(geometry: Geometry, size: number): number {
  return Math.ceil(size / geometry.l2Coverage);
}

/** Index of the host cluster that holds the byte at `hostOffset`. */
export function clusterOf(geometry: Geometry, hostOffset: number): number {
  return Math.floor(hostOffset / geometry.clusterSize);
}

/** Whole clusters that `length` bytes take. */
export function clustersFor(geometry: Geometry, length: number): number {
  return Math.ceil(length / geometry.clusterSize);
}
