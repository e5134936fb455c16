/** The directory of persistent bitmaps: bytes to values. qcow2 spec, "Bitmaps extension". */

import { BlockError, hex } from "@coblock/core";
import { MAX_NAME_BYTES, MAX_BITMAP_TABLE_ENTRIES } from "./limits.ts";
import { readNumber64, viewOf } from "./words.ts";

const FIXED_BYTES = 24;
const FLAGS_AT = 12;
const KNOWN_FLAGS = 7;
/** Not saved: its content may be outdated. */
export const BITMAP_IN_USE = 1;
export const BITMAP_AUTO = 2;

export interface Bitmap {
  readonly name: string;
  readonly flags: number;
  /** Bytes of the disk that one bit stands for. */
  readonly granularity: number;
  readonly tableOffset: number;
  readonly tableEntries: number;
  /** Where the u32 of flags lies, bytes from the start of the directory. */
  readonly flagsAt: number;
}

/** Throws CORRUPT_IMAGE unless `count` sane entries fill the directory exactly. */
export function decodeBitmapDirectory(bytes: Uint8Array, count: number, directoryOffset: number): Bitmap[] {
  const bitmaps: Bitmap[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    const place = `bitmap ${index} at offset ${hex(directoryOffset + at)}`;
    if (at + FIXED_BYTES > bytes.length) throw invalid(`${place} runs out of the bitmap directory`, directoryOffset + at);
    const entry = bytes.subarray(at);
    const length = entryLength(viewOf(entry));
    if (length > entry.length) throw invalid(`${place} runs out of the bitmap directory`, directoryOffset + at);
    bitmaps.push(decodeBitmap(entry, at, place, directoryOffset));
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

function decodeBitmap(entry: Uint8Array, at: number, place: string, directoryOffset: number): Bitmap {
  const view = viewOf(entry);
  const flags = view.getUint32(FLAGS_AT);
  const nameLength = view.getUint16(18);
  const granularityBits = view.getUint8(17);
  const tableEntries = view.getUint32(8);
  const extraLength = view.getUint32(20);
  if (flags > KNOWN_FLAGS) throw invalid(`${place} has unknown flags, ${hex(flags)}`, directoryOffset + at);
  if (view.getUint8(16) !== 1) throw invalid(`${place} is of the unknown type ${view.getUint8(16)}`, directoryOffset + at);
  if (extraLength !== 0) throw invalid(`${place} has ${extraLength} bytes of unknown extra data`, directoryOffset + at);
  if (granularityBits < 9 || granularityBits > 31)
    throw invalid(`${place} has a granularity of 2^${granularityBits} bytes`, directoryOffset + at);
  if (tableEntries === 0 || tableEntries > MAX_BITMAP_TABLE_ENTRIES)
    throw invalid(`${place} has a table of ${tableEntries} entries`, directoryOffset + at);
  if (nameLength === 0 || nameLength > MAX_NAME_BYTES) throw invalid(`${place} has a name of ${nameLength} bytes`, directoryOffset + at);
  return {
    name: new TextDecoder().decode(entry.subarray(FIXED_BYTES, FIXED_BYTES + nameLength)),
    flags,
    granularity: 2 ** granularityBits,
    tableOffset: readNumber64(view, 0, "bitmap table offset"),
    tableEntries,
    flagsAt: at + FLAGS_AT,
  };
}

function invalid(message: string, offset: number): BlockError {
  return new BlockError("CORRUPT_IMAGE", message, { offset });
}
