/** The QED header as bytes: its rules, parsing and writing. No I/O. */

import { BlockError, type BlockErrorCode, hex, isPowerOfTwo, type NamedFile } from "@coblock/core";

/** Bytes of the known fields; the rest of the header clusters belongs to the backing file name and to features yet unknown. */
export const HEADER_LENGTH = 64;
/** Bytes 51 45 44 00, "QED" and a zero, as a little-endian number. */
const MAGIC = 0x00444551;
/** The image size is a multiple of it. */
export const SECTOR_SIZE = 512;
/** Bytes; QEMU reads no longer name. */
export const MAX_BACKING_NAME_LENGTH = 1023;
/** Virtual bytes: offsets are numbers. */
const MAX_IMAGE_SIZE = Number.MAX_SAFE_INTEGER;

export const BACKING_FILE = 0x01n;
/** The metadata may be inconsistent: to be checked before it is changed. */
export const NEED_CHECK = 0x02n;
/** `BACKING_FORMAT_NO_PROBE`: the backing file is raw and must not be probed. */
export const NO_PROBE = 0x04n;
const KNOWN_FEATURES = BACKING_FILE | NEED_CHECK | NO_PROBE;

/** The 64 bytes at the start of the file, in their order. QED specification, "Header". */
export interface QedHeader {
  /** Bytes. */
  readonly clusterSize: number;
  /** `table_size`: clusters of each L1 and L2 table. */
  readonly tableClusters: number;
  /** `header_size`: clusters before the first one that may hold tables or data. */
  readonly headerClusters: number;
  readonly features: bigint;
  readonly compatFeatures: bigint;
  readonly autoclearFeatures: bigint;
  readonly l1Offset: number;
  /** Virtual bytes. */
  readonly imageSize: number;
  /** Bytes from the start of the file; means something with `BACKING_FILE` alone, as does the length. */
  readonly backingNameOffset: number;
  readonly backingNameLength: number;
}

/** Throws `CORRUPT_IMAGE` or `UNSUPPORTED_FEATURE` where `bytes`, the start of a file of `fileSize` bytes, break a rule. */
export function parseHeader(bytes: Uint8Array, fileName: string, fileSize: number): QedHeader {
  const refuse = (problem: string | undefined, code: BlockErrorCode = "CORRUPT_IMAGE"): void => {
    if (problem !== undefined) throw new BlockError(code, `${fileName} cannot be opened as QED: ${problem}`);
  };
  if (bytes.length < HEADER_LENGTH) refuse(`the file ends after ${bytes.length} bytes, within the header of ${HEADER_LENGTH}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(0, true) !== MAGIC) refuse("the magic number is missing");
  const header: QedHeader = {
    clusterSize: view.getUint32(4, true),
    tableClusters: view.getUint32(8, true),
    headerClusters: view.getUint32(12, true),
    features: view.getBigUint64(16, true),
    compatFeatures: view.getBigUint64(24, true),
    autoclearFeatures: view.getBigUint64(32, true),
    // Above 2^53 these come rounded: too large all the same.
    l1Offset: Number(view.getBigUint64(40, true)),
    imageSize: Number(view.getBigUint64(48, true)),
    backingNameOffset: view.getUint32(56, true),
    backingNameLength: view.getUint32(60, true),
  };
  const { clusterSize, tableClusters, l1Offset, imageSize, backingNameLength } = header;
  const unknown = header.features & ~KNOWN_FEATURES;
  if (unknown !== 0n) refuse(`it has unknown feature bits ${hex(unknown)}`, "UNSUPPORTED_FEATURE");
  if (imageSize > MAX_IMAGE_SIZE) refuse(`image size ${imageSize} is above 8 PiB, the most that is supported`, "UNSUPPORTED_FEATURE");
  refuse(sizeProblem(clusterSize, tableClusters, imageSize));
  const headerLength = header.headerClusters * clusterSize;
  if (headerLength === 0 || headerLength >= 2 ** 32) refuse(`header size ${header.headerClusters} clusters is 0, or 4 GiB and more`);
  if (l1Offset % clusterSize !== 0 || l1Offset < headerLength || l1Offset + tableClusters * clusterSize > fileSize)
    refuse(`L1 table offset ${hex(l1Offset)} is unaligned, inside the header or past the end of the file`);
  const longestName = Math.min(MAX_BACKING_NAME_LENGTH, headerLength - header.backingNameOffset);
  if ((header.features & BACKING_FILE) !== 0n && backingNameLength > longestName)
    refuse(`its backing file name, ${backingNameLength} bytes at ${hex(header.backingNameOffset)}, leaves the header or exceeds 1023`);
  return header;
}

/** Puts the known fields over `bytes`; what follows them stays. */
export function writeHeader(bytes: Uint8Array, header: QedHeader): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, header.clusterSize, true);
  view.setUint32(8, header.tableClusters, true);
  view.setUint32(12, header.headerClusters, true);
  view.setBigUint64(16, header.features, true);
  view.setBigUint64(24, header.compatFeatures, true);
  view.setBigUint64(32, header.autoclearFeatures, true);
  view.setBigUint64(40, BigInt(header.l1Offset), true);
  view.setBigUint64(48, BigInt(header.imageSize), true);
  view.setUint32(56, header.backingNameOffset, true);
  view.setUint32(60, header.backingNameLength, true);
}

/** Which rule the sizes break. A full L1 table of full L2 tables maps up to 2^80 bytes, exact in a number as every power of two. */
export function sizeProblem(clusterSize: number, tableClusters: number, imageSize: number): string | undefined {
  if (!isPowerOfTwo(clusterSize) || clusterSize < 2 ** 12 || clusterSize > 2 ** 26)
    return `QED cluster size must be within range [4096, 67108864] and power of 2, not ${clusterSize}`;
  if (!isPowerOfTwo(tableClusters) || tableClusters > 16)
    return `QED table size must be within range [1, 16] and power of 2, not ${tableClusters}`;
  const entries = (tableClusters * clusterSize) / 8;
  const largest = Math.min(entries * entries * clusterSize, MAX_IMAGE_SIZE);
  if (imageSize % SECTOR_SIZE !== 0) return `QED image size must be a multiple of ${SECTOR_SIZE}, not ${imageSize}`;
  return imageSize > largest ? `QED image size must be at most ${largest} with its clusters and tables, not ${imageSize}` : undefined;
}

/** A backing file as the header has it, and why it cannot have it. Of formats it knows raw alone. */
export function encodeBacking(backing: NamedFile | undefined): { name: Uint8Array; flags: bigint; problem: string | undefined } {
  const name = new TextEncoder().encode(backing?.filename ?? "");
  const flags = name.length === 0 ? 0n : BACKING_FILE | (backing?.format === "raw" ? NO_PROBE : 0n);
  const excess = `the backing file name has ${name.length} bytes, more than ${MAX_BACKING_NAME_LENGTH}`;
  const tooLong = name.length > MAX_BACKING_NAME_LENGTH ? excess : undefined;
  return { name, flags, problem: name.includes(0) ? "the backing file name contains a zero byte" : tooLong };
}
