/**
 * L1, refcount table and L2 entries, bit by bit. Entries are taken as two halves of 32 bits, as 32-bit operators would cut offsets.
 * qcow2 spec, "Cluster mapping" and "Reference counts".
 */

import { TWO_32 } from "./words.ts";

/** Bit 63: the refcount is exactly one. */
export const COPIED_HIGH = 0x8000_0000;
/** Bit 62: the L2 entry is a compressed cluster. */
const COMPRESSED_HIGH = 0x4000_0000;
/** Bit 0 of a standard L2 entry. */
export const ZERO_LOW = 1;

const OFFSET_HIGH = 0x00ff_ffff;
const OFFSET_LOW = 0xffff_fe00;

/** An entry of any table: two unsigned halves. */
export interface Entry {
  readonly high: number;
  readonly low: number;
}
export const EMPTY: Entry = { high: 0, low: 0 };

/** `data`: bytes are there. `reserved`: space is owned, reads as zeros. `zero`: reads as zeros. */
export type L2Kind = "unallocated" | "zero" | "reserved" | "data" | "compressed";

/** Bits 9 to 55 as a number; exact below 2^53, see `isOffsetExact`. */
export function offsetOf(high: number, low: number): number {
  return (high & OFFSET_HIGH) * TWO_32 + ((low & OFFSET_LOW) >>> 0);
}

/** Whether the offset is below 2^53 (8 PiB), as far as numbers are exact and files go. */
export function isOffsetExact(high: number): boolean {
  return (high & OFFSET_HIGH) < 0x20_0000;
}

/** Whether the offset in an entry is a multiple of the cluster size, by its low half: clusters are far smaller than 2^32. */
export function isClusterAligned(low: number, clusterSize: number): boolean {
  const below = clusterSize - 1;
  return (low & below & OFFSET_LOW) === 0;
}

/** Bit 63 of an entry, by its high half. */
export function isCopied(high: number): boolean {
  return (high & COPIED_HIGH) !== 0;
}

/** Bit 62 of an L2 entry, by its high half. */
export function isCompressed(high: number): boolean {
  return (high & COMPRESSED_HIGH) !== 0;
}

/** An entry for `offset`, cluster aligned; flags of L2 entries are added by the caller. */
export function entryFor(offset: number, copied: boolean): Entry {
  const high = Math.floor(offset / TWO_32);
  return { high: copied ? high + COPIED_HIGH : high, low: offset % TWO_32 };
}

/** Bits 0–8 and 56–62 of an L1 entry must be zero. */
export function hasReservedL1Bits(high: number, low: number): boolean {
  return (high & 0x7f00_0000) !== 0 || (low & 0x1ff) !== 0;
}

/** Bits 0–8 of a refcount table entry must be zero; all above are offset, of which none may reach bit 56. */
export function hasReservedRefcountTableBits(high: number, low: number): boolean {
  return (high & 0xff00_0000) !== 0 || (low & 0x1ff) !== 0;
}

/** Bits 1–8 and 56–61 of a plain L2 entry must be zero; bit 0 too in version 2 and with extended entries. */
export function hasReservedL2Bits(high: number, low: number, zeroFlag: boolean): boolean {
  return (high & 0x3f00_0000) !== 0 || (low & (zeroFlag ? 0x1fe : 0x1ff)) !== 0;
}

/**
 * What a standard L2 entry stands for. `zeroFlag`: version 3 without extended entries, where bit 0 has a meaning.
 * `identity`: an external data file, in which offset 0 is a place like any other and COPIED tells that it is allocated.
 */
export function l2KindOf(high: number, low: number, zeroFlag: boolean, identity: boolean): L2Kind {
  if ((high & COMPRESSED_HIGH) !== 0) return "compressed";
  const placed = (high & OFFSET_HIGH) !== 0 || (low & OFFSET_LOW) !== 0;
  if (zeroFlag && (low & ZERO_LOW) !== 0) return placed ? "reserved" : "zero";
  return placed || (identity && (high & COPIED_HIGH) !== 0) ? "data" : "unallocated";
}

/** Where a compressed cluster lies: whole sectors from the one that holds `offset`, of which the first may belong to another. */
export interface CompressedPlace {
  readonly offset: number;
  /** Bytes up to the end of the last sector. */
  readonly length: number;
}

const SECTOR = 512;

/** Bits of the offset in the high half: x − 32 with x = 70 − cluster_bits. */
function offsetBitsInHigh(clusterBits: number): number {
  return 38 - clusterBits;
}

/** Whether offset bits 53 to 60 are set: bits 56 and up must be zero, and no file is as long as 2^53. */
export function isCompressedOffsetExact(high: number, clusterBits: number): boolean {
  const offsetHigh = (high & (2 ** offsetBitsInHigh(clusterBits) - 1)) >>> 0;
  return offsetHigh < 0x20_0000;
}

/** Where the bytes of a compressed entry lie; the offset is exact where `isCompressedOffsetExact` says so. */
export function compressedPlaceOf(high: number, low: number, clusterBits: number): CompressedPlace {
  const bits = offsetBitsInHigh(clusterBits);
  const offset = (high & (2 ** bits - 1)) * TWO_32 + low;
  const sectors = (high & 0x3fff_ffff) >>> bits;
  return { offset, length: (sectors + 1) * SECTOR - (low % SECTOR) };
}

/** The entry for `length` compressed bytes at `offset`; `offset + length` is at most `maxCompressedOffset`. */
export function compressedEntryFor(offset: number, length: number, clusterBits: number): Entry {
  const sectors = Math.floor((offset + length - 1) / SECTOR) - Math.floor(offset / SECTOR);
  const bits = offsetBitsInHigh(clusterBits);
  return { high: COMPRESSED_HIGH + sectors * 2 ** bits + Math.floor(offset / TWO_32), low: offset % TWO_32 };
}

/** The end of the host space that compressed clusters can be described in: 2^x, and no more than an exact number. */
export function maxCompressedOffset(clusterBits: number): number {
  return Math.min(2 ** (70 - clusterBits), Number.MAX_SAFE_INTEGER);
}

/** Reads as `entry 0x…` in messages. */
export function entryText(high: number, low: number): string {
  return `0x${(BigInt(high) * BigInt(TWO_32) + BigInt(low)).toString(16)}`;
}
