/** The fixed part of the image header, versions 2 and 3: bytes to values and back. qcow2 spec, "Header". */

import { BlockError } from "@coblock/core";
import { readNumber64, viewOf, writeNumber64 } from "./words.ts";

const MAGIC = 0x514649fb;
export const V2_HEADER_LENGTH = 72;
/** What QEMU writes: all fields that are known, padded. */
export const V3_HEADER_LENGTH = 112;
/** Bytes that `decodeHeader` needs where the file has them. */
export const FIXED_HEADER_LENGTH: number = V3_HEADER_LENGTH;
const V3_MINIMUM_LENGTH = 104;
const COMPRESSION_TYPE_AT = 104;

/** Where fields lie that are changed in place. The switches of a table are one write each, within one sector. */
export const HEADER_AT = {
  /** u64 offset, u32 length. */
  backing: 8,
  size: 24,
  /** u32 entries, u64 offset. */
  l1: 36,
  /** u64 offset, u32 clusters. */
  refcountTable: 48,
  /** u32 count, u64 offset. */
  snapshots: 60,
  incompatible: 72,
  compatible: 80,
  autoclear: 88,
  refcountOrder: 96,
} as const;

/** Offsets and lengths are bytes; nothing is validated but that numbers are exact and the version is known. */
export interface Header {
  readonly version: 2 | 3;
  readonly backingOffset: number;
  readonly backingLength: number;
  readonly clusterBits: number;
  /** Virtual size as it is stored, perhaps not a multiple of 512. */
  readonly size: number;
  /** 0 none, 1 AES, 2 LUKS. */
  readonly cryptMethod: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  readonly incompatible: bigint;
  readonly compatible: bigint;
  readonly autoclear: bigint;
  /** Refcounts are `2 ** refcountOrder` bits wide. */
  readonly refcountOrder: number;
  readonly headerLength: number;
  /** 0 zlib, 1 zstd. */
  readonly compressionType: number;
}

/** Reads the header from the first bytes of a file; a version 2 header gets the values that it implies. */
export function decodeHeader(bytes: Uint8Array): Header {
  if (bytes.length < V2_HEADER_LENGTH)
    throw new BlockError("CORRUPT_IMAGE", `the file is ${bytes.length} bytes long, too short for a qcow2 header`, { offset: 0 });
  const view = viewOf(bytes);
  const magic = view.getUint32(0);
  if (magic !== MAGIC)
    throw new BlockError("CORRUPT_IMAGE", `the file starts with 0x${magic.toString(16).padStart(8, "0")}, not with the magic of qcow2`, {
      offset: 0,
    });
  const version = view.getUint32(4);
  if (version === 2) return { version, ...decodeCommon(view), ...V2_IMPLIED };
  if (version !== 3) throw new BlockError("UNSUPPORTED_FEATURE", `qcow2 version ${version} is not supported`, { offset: 4 });
  if (bytes.length < V3_MINIMUM_LENGTH)
    throw new BlockError("CORRUPT_IMAGE", `the file is ${bytes.length} bytes long, too short for a version 3 header`, { offset: 0 });
  return { version, ...decodeCommon(view), ...decodeV3(view) };
}

const V2_IMPLIED = {
  incompatible: 0n,
  compatible: 0n,
  autoclear: 0n,
  refcountOrder: 4,
  headerLength: V2_HEADER_LENGTH,
  compressionType: 0,
} as const;

function decodeCommon(view: DataView) {
  return {
    backingOffset: readNumber64(view, HEADER_AT.backing, "backing file offset"),
    backingLength: view.getUint32(HEADER_AT.backing + 8),
    clusterBits: view.getUint32(20),
    size: readNumber64(view, HEADER_AT.size, "virtual size"),
    cryptMethod: view.getUint32(32),
    l1Entries: view.getUint32(HEADER_AT.l1),
    l1Offset: readNumber64(view, HEADER_AT.l1 + 4, "L1 table offset"),
    refcountTableOffset: readNumber64(view, HEADER_AT.refcountTable, "refcount table offset"),
    refcountTableClusters: view.getUint32(HEADER_AT.refcountTable + 8),
    snapshotCount: view.getUint32(HEADER_AT.snapshots),
    snapshotsOffset: readNumber64(view, HEADER_AT.snapshots + 4, "snapshot table offset"),
  };
}

function decodeV3(view: DataView) {
  const headerLength = view.getUint32(100);
  return {
    incompatible: view.getBigUint64(HEADER_AT.incompatible),
    compatible: view.getBigUint64(HEADER_AT.compatible),
    autoclear: view.getBigUint64(HEADER_AT.autoclear),
    refcountOrder: view.getUint32(HEADER_AT.refcountOrder),
    headerLength,
    compressionType: headerLength > COMPRESSION_TYPE_AT && view.byteLength > COMPRESSION_TYPE_AT ? view.getUint8(COMPRESSION_TYPE_AT) : 0,
  };
}

/** `headerLength` bytes. */
export function encodeHeader(header: Header): Uint8Array {
  const bytes = new Uint8Array(header.headerLength);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC);
  view.setUint32(4, header.version);
  writeNumber64(view, HEADER_AT.backing, header.backingOffset);
  view.setUint32(HEADER_AT.backing + 8, header.backingLength);
  view.setUint32(20, header.clusterBits);
  writeNumber64(view, HEADER_AT.size, header.size);
  view.setUint32(32, header.cryptMethod);
  bytes.set(encodeL1Switch(header.l1Entries, header.l1Offset), HEADER_AT.l1);
  bytes.set(encodeRefcountTableSwitch(header.refcountTableOffset, header.refcountTableClusters), HEADER_AT.refcountTable);
  bytes.set(encodeSnapshotsSwitch(header.snapshotCount, header.snapshotsOffset), HEADER_AT.snapshots);
  if (header.version === 2) return bytes;
  view.setBigUint64(HEADER_AT.incompatible, header.incompatible);
  view.setBigUint64(HEADER_AT.compatible, header.compatible);
  view.setBigUint64(HEADER_AT.autoclear, header.autoclear);
  view.setUint32(HEADER_AT.refcountOrder, header.refcountOrder);
  view.setUint32(100, header.headerLength);
  view.setUint8(COMPRESSION_TYPE_AT, header.compressionType);
  return bytes;
}

/** The 12 bytes at `HEADER_AT.l1`. */
export function encodeL1Switch(entries: number, offset: number): Uint8Array {
  const bytes = new Uint8Array(12);
  viewOf(bytes).setUint32(0, entries);
  writeNumber64(viewOf(bytes), 4, offset);
  return bytes;
}

/** The 24 bytes at `HEADER_AT.size`: all that makes another disk of an image, in one write. */
export function encodeDiskSwitch(disk: Pick<Header, "size" | "cryptMethod" | "l1Entries" | "l1Offset">): Uint8Array {
  const bytes = new Uint8Array(24);
  writeNumber64(viewOf(bytes), 0, disk.size);
  viewOf(bytes).setUint32(8, disk.cryptMethod);
  bytes.set(encodeL1Switch(disk.l1Entries, disk.l1Offset), HEADER_AT.l1 - HEADER_AT.size);
  return bytes;
}

/** The 12 bytes at `HEADER_AT.snapshots`. */
export function encodeSnapshotsSwitch(count: number, offset: number): Uint8Array {
  const bytes = new Uint8Array(12);
  viewOf(bytes).setUint32(0, count);
  writeNumber64(viewOf(bytes), 4, offset);
  return bytes;
}

/** The 12 bytes at `HEADER_AT.refcountTable`. */
export function encodeRefcountTableSwitch(offset: number, clusters: number): Uint8Array {
  const bytes = new Uint8Array(12);
  writeNumber64(viewOf(bytes), 0, offset);
  viewOf(bytes).setUint32(8, clusters);
  return bytes;
}

/** The 8 bytes of a feature word. */
export function encodeFeatures(flags: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, flags);
  return bytes;
}
