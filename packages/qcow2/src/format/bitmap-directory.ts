/** The directory of persistent bitmaps: bytes to values and back. qcow2 spec, "Bitmaps extension". */

import { BlockError, hex } from "@coblock/core";
import { MAX_BITMAP_DATA_BYTES, MAX_BITMAP_TABLE_ENTRIES, MAX_GRANULARITY, MAX_NAME_BYTES, MIN_GRANULARITY } from "./limits.ts";
import { readNumber64, viewOf, writeNumber64 } from "./words.ts";

const FIXED_BYTES = 24;
const FLAGS_AT = 12;
/** The only type that there is. */
const DIRTY_TRACKING = 1;
/** Not saved: its content may be outdated. */
export const BITMAP_IN_USE = 1;
/** It follows changes. */
export const BITMAP_AUTO = 2;
/** Extra data that is not known does not keep from using the bitmap, and is to be kept. */
const EXTRA_DATA_COMPATIBLE = 4;
const KNOWN_FLAGS: number = BITMAP_IN_USE + BITMAP_AUTO + EXTRA_DATA_COMPATIBLE;

export interface Bitmap {
  readonly name: string;
  readonly flags: number;
  /** Bytes of the disk that one bit stands for. */
  readonly granularity: number;
  readonly tableOffset: number;
  readonly tableEntries: number;
  /** As it is on disk. */
  readonly raw: { readonly name: Uint8Array; readonly extra: Uint8Array };
}

/** Where the directory lies, and what the header says of it. */
export interface BitmapDirectoryPlace {
  readonly count: number;
  readonly offset: number;
  readonly clusterSize: number;
}

/** Throws CORRUPT_IMAGE unless `count` sane entries fill the directory exactly, UNSUPPORTED_FEATURE for what is not known. */
export function decodeBitmapDirectory(bytes: Uint8Array, { count, offset: directoryOffset, clusterSize }: BitmapDirectoryPlace): Bitmap[] {
  const bitmaps: Bitmap[] = [];
  const names = new Set<string>();
  let at = 0;
  for (let index = 0; index < count; index++) {
    const place = `bitmap ${index} at offset ${hex(directoryOffset + at)}`;
    if (at + FIXED_BYTES > bytes.length) throw invalid(`${place} runs out of the bitmap directory`, directoryOffset + at);
    const entry = bytes.subarray(at);
    const length = entryLength(viewOf(entry));
    if (length > entry.length) throw invalid(`${place} runs out of the bitmap directory`, directoryOffset + at);
    const bitmap = decodeBitmap(entry, directoryOffset + at, place, clusterSize);
    if (names.has(bitmap.name)) throw invalid(`${place} has the name of another, '${bitmap.name}'`, directoryOffset + at);
    names.add(bitmap.name);
    bitmaps.push(bitmap);
    at += length;
  }
  if (at !== bytes.length)
    throw invalid(
      `the bitmap directory at offset ${hex(directoryOffset)} is ${bytes.length} bytes long, its ${count} entries take ${at}`,
      directoryOffset,
    );
  return bitmaps;
}

function entryLength(view: DataView): number {
  return Math.ceil((FIXED_BYTES + view.getUint32(20) + view.getUint16(18)) / 8) * 8;
}

function decodeBitmap(entry: Uint8Array, offset: number, place: string, clusterSize: number): Bitmap {
  const view = viewOf(entry);
  const flags = view.getUint32(FLAGS_AT);
  const type = view.getUint8(16);
  const granularityBits = view.getUint8(17);
  const nameLength = view.getUint16(18);
  const extraLength = view.getUint32(20);
  const tableEntries = view.getUint32(8);
  const tableOffset = readNumber64(view, 0, `the table offset of ${place}`);
  if (nameLength === 0 || nameLength > MAX_NAME_BYTES) throw invalid(`${place} has a name of ${nameLength} bytes`, offset);
  const raw = {
    extra: entry.slice(FIXED_BYTES, FIXED_BYTES + extraLength),
    name: entry.slice(FIXED_BYTES + extraLength, FIXED_BYTES + extraLength + nameLength),
  };
  const name = new TextDecoder().decode(raw.name);
  const named = `${place}, '${name}',`;
  if (flags > KNOWN_FLAGS) throw unknown(`${named} has unknown flags, ${hex(flags)}`, offset);
  if (type !== DIRTY_TRACKING) throw unknown(`${named} is of the unknown type ${type}`, offset);
  if (extraLength > 0 && flags < EXTRA_DATA_COMPATIBLE)
    throw unknown(`${named} has ${extraLength} bytes of unknown extra data that must be understood`, offset);
  if (2 ** granularityBits < MIN_GRANULARITY || 2 ** granularityBits > MAX_GRANULARITY)
    throw invalid(`${named} has a granularity of 2^${granularityBits} bytes`, offset);
  if (tableEntries === 0 || tableEntries > MAX_BITMAP_TABLE_ENTRIES)
    throw invalid(`${named} has a table of ${tableEntries} entries`, offset);
  if (tableEntries * clusterSize > MAX_BITMAP_DATA_BYTES)
    throw invalid(`${named} has ${tableEntries * clusterSize} bytes of bits, more than ${MAX_BITMAP_DATA_BYTES}`, offset);
  if (tableOffset === 0 || tableOffset % clusterSize !== 0 || !Number.isSafeInteger(tableOffset + tableEntries * 8))
    throw invalid(`${named} has its table at offset ${hex(tableOffset)}, which is no place of a table`, offset);
  return { name, flags, granularity: 2 ** granularityBits, tableOffset, tableEntries, raw };
}

/** The bytes of a directory, and where in them the u32 of flags of each bitmap lies. */
export function encodeBitmapDirectory(bitmaps: readonly Bitmap[]): { readonly bytes: Uint8Array; readonly flagsAt: readonly number[] } {
  const flagsAt: number[] = [];
  const entries = bitmaps.map(({ flags, granularity, tableOffset, tableEntries, raw: { name, extra } }) => {
    const bytes = new Uint8Array(Math.ceil((FIXED_BYTES + extra.length + name.length) / 8) * 8);
    const view = viewOf(bytes);
    writeNumber64(view, 0, tableOffset);
    view.setUint32(8, tableEntries);
    view.setUint32(FLAGS_AT, flags);
    view.setUint8(16, DIRTY_TRACKING);
    view.setUint8(17, Math.log2(granularity));
    view.setUint16(18, name.length);
    view.setUint32(20, extra.length);
    bytes.set(extra, FIXED_BYTES);
    bytes.set(name, FIXED_BYTES + extra.length);
    return bytes;
  });
  let at = FLAGS_AT;
  for (const entry of entries) {
    flagsAt.push(at);
    at += entry.length;
  }
  return { bytes: Buffer.concat(entries), flagsAt };
}

/** Bytes that a bitmap of that name, without extra data, takes in the directory. */
export function directoryEntryLength(name: string): number {
  return Math.ceil((FIXED_BYTES + Buffer.byteLength(name)) / 8) * 8;
}

function invalid(message: string, offset: number): BlockError {
  return new BlockError("CORRUPT_IMAGE", message, { offset });
}

function unknown(message: string, offset: number): BlockError {
  return new BlockError("UNSUPPORTED_FEATURE", message, { offset });
}
