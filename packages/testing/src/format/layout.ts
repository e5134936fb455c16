/**
 * The bytes of the test format, little-endian. A 512-byte header, then pages of 512 bytes with 32 entries each, one entry a cluster.
 * Clusters are stored in slots of their own size: even ones in one file, odd ones in another.
 */

import { BlockError, isPowerOfTwo } from "@coblock/core";

export const SECTOR_SIZE = 512;
export const HEADER_SIZE = 512;
export const PAGE_SIZE = 512;
const ENTRY_SIZE = 16;
export const ENTRIES_PER_PAGE: number = PAGE_SIZE / ENTRY_SIZE;
/** One bit a sector, 32 bits a cluster. */
const MAX_CLUSTER_SIZE: number = 32 * SECTOR_SIZE;
const MAGIC = "COBLTEST";
const VERSION = 1;
const DIRTY = 1;

export interface Header {
  /** Virtual size in bytes, whole sectors. */
  readonly size: number;
  readonly clusterSize: number;
  /** Bytes of the disk through which a backing file shows. */
  readonly backingLimit: number;
  /** It was opened for writing and not closed since. */
  readonly dirty: boolean;
}

/** Where one cluster is. A sector in neither bitmap is unallocated. */
export interface Entry {
  /** Slot in the cluster's file. */
  readonly slot: number | undefined;
  /** Sectors whose bytes are in the slot. */
  readonly data: number;
  /** Sectors that read as zeros. */
  readonly zero: number;
  /** Bytes of compressed data in the slot; 0: stored as it is. */
  readonly storedLength: number;
}

export const EMPTY_ENTRY: Entry = Object.freeze({ slot: undefined, data: 0, zero: 0, storedLength: 0 });

/** A page in memory. Entries are replaced, never changed. */
export type Page = Entry[];

/** The header as bytes. */
export function encodeHeader(header: Header): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setUint32(8, VERSION, true);
  view.setUint32(12, header.clusterSize, true);
  view.setBigUint64(16, BigInt(header.size), true);
  view.setBigUint64(24, BigInt(header.backingLimit), true);
  view.setUint32(32, header.dirty ? DIRTY : 0, true);
  return bytes;
}

/** Throws CORRUPT_IMAGE and UNSUPPORTED_FEATURE. */
export function parseHeader(bytes: Uint8Array, fileName: string): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!hasMagic(bytes)) throw new BlockError("CORRUPT_IMAGE", `${fileName}: does not begin with ${MAGIC}`, { offset: 0 });
  const version = view.getUint32(8, true);
  if (version !== VERSION) throw new BlockError("UNSUPPORTED_FEATURE", `${fileName}: version ${version} is not known`, { offset: 8 });
  const flags = view.getUint32(32, true);
  if (flags > DIRTY) throw new BlockError("UNSUPPORTED_FEATURE", `${fileName}: flags ${flags} are not known`, { offset: 32 });
  const header = {
    size: Number(view.getBigUint64(16, true)),
    clusterSize: view.getUint32(12, true),
    backingLimit: Number(view.getBigUint64(24, true)),
    dirty: flags === DIRTY,
  };
  checkGeometry(header, fileName);
  return header;
}

/** Whether the bytes begin as an image of the test format does. */
export function hasMagic(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, MAGIC.length)) === MAGIC;
}

/** Throws CORRUPT_IMAGE for sizes that the format does not have. */
export function checkGeometry({ size, clusterSize }: { readonly size: number; readonly clusterSize: number }, fileName: string): void {
  if (!isPowerOfTwo(clusterSize) || clusterSize < SECTOR_SIZE || clusterSize > MAX_CLUSTER_SIZE) {
    throw new BlockError(
      "CORRUPT_IMAGE",
      `${fileName}: a cluster size of ${clusterSize} bytes is no power of two from ${SECTOR_SIZE} to ${MAX_CLUSTER_SIZE}`,
    );
  }
  if (!Number.isSafeInteger(size) || size % SECTOR_SIZE !== 0)
    throw new BlockError("CORRUPT_IMAGE", `${fileName}: a size of ${size} bytes is no multiple of ${SECTOR_SIZE}`);
}

/** A page of the map as bytes. */
export function encodePage(page: Page): Uint8Array {
  const bytes = new Uint8Array(PAGE_SIZE);
  const view = new DataView(bytes.buffer);
  for (const [index, entry] of page.entries()) {
    const at = index * ENTRY_SIZE;
    view.setUint32(at, entry.slot === undefined ? 0 : entry.slot + 1, true);
    view.setUint32(at + 4, entry.data, true);
    view.setUint32(at + 8, entry.zero, true);
    view.setUint32(at + 12, entry.storedLength, true);
  }
  return bytes;
}

/** A page of the map from its bytes. */
export function parsePage(bytes: Uint8Array): Page {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const page: Page = [];
  for (let at = 0; at < PAGE_SIZE; at += ENTRY_SIZE) {
    const slot = view.getUint32(at, true);
    page.push({
      slot: slot === 0 ? undefined : slot - 1,
      data: view.getUint32(at + 4, true),
      zero: view.getUint32(at + 8, true),
      storedLength: view.getUint32(at + 12, true),
    });
  }
  return page;
}

/** The bits of sectors [first, first + count) of a cluster. */
export function sectorBits(first: number, count: number): number {
  return count === 32 ? 0xffffffff : ((2 ** count - 1) * 2 ** first) >>> 0;
}

/** Whether the sector bitmap has this sector. */
export function hasSector(bitmap: number, sector: number): boolean {
  return Math.floor(bitmap / 2 ** sector) % 2 === 1;
}

/** `>>> 0`: JavaScript's operators answer signed numbers. */
export function withSectors(bitmap: number, sectors: number): number {
  return (bitmap | sectors) >>> 0;
}

/** The sector bitmap without some sectors. */
export function withoutSectors(bitmap: number, sectors: number): number {
  return (bitmap & ~sectors) >>> 0;
}
