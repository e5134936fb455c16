/** Reads what an image says of itself: header, extensions, the names of other files, snapshots and bitmaps. */

import { type BlockChild, BlockError, hex, wantedFor } from "@coblock/core";
import { type Bitmap, decodeBitmapDirectory } from "../format/bitmap-directory.ts";
import { BITMAPS } from "../format/features.ts";
import { decodeHeader, FIXED_HEADER_LENGTH, type Header } from "../format/header.ts";
import { decodeHeaderExtensions, type HeaderExtensions } from "../format/header-extensions.ts";
import { checkHeader, checkHeaderFrame, extensionArea, type HeaderRules } from "../format/header-rules.ts";
import { MAX_SNAPSHOT_TABLE_BYTES } from "../format/limits.ts";
import { decodeSnapshotTable, type SnapshotTable } from "../format/snapshot-table.ts";
import type { Description } from "./description.ts";

export interface ImageHeader {
  readonly header: Header;
  readonly extensions: HeaderExtensions;
  /** As the header names it. */
  readonly backingName: string | undefined;
}

/** Reads what the header leads to, beside the tables: the lists of snapshots and of bitmaps. */
export async function readDescription(file: BlockChild, image: ImageHeader): Promise<Omit<Description, "luks">> {
  const { snapshots, length: snapshotTableLength } = await readSnapshots(file, image.header);
  return { ...image, snapshots, snapshotTableLength, bitmaps: await readBitmaps(file, image) };
}

/** Reads and checks the first cluster; nothing else of the file is touched. */
export async function readHeader(file: BlockChild, rules?: HeaderRules): Promise<ImageHeader> {
  try {
    const fixed = await readUpTo(file, 0, FIXED_HEADER_LENGTH).catch((error: unknown) => {
      throw wantedFor("header", error);
    });
    const header = decodeHeader(fixed);
    checkHeaderFrame(header);
    const { start, end } = extensionArea(header);
    const first = await readUpTo(file, 0, header.backingOffset === 0 ? end : header.backingOffset + header.backingLength);
    const extensions = decodeHeaderExtensions(first.subarray(start, end), start);
    checkHeader(header, extensions, rules);
    return { header, extensions, backingName: backingNameIn(first, header) };
  } catch (error) {
    throw inFile(file, error);
  }
}

/** Reads the table of internal snapshots. */
async function readSnapshots(file: BlockChild, { snapshotCount, snapshotsOffset }: Header): Promise<SnapshotTable> {
  if (snapshotCount === 0) return { snapshots: [], length: 0 };
  try {
    for (let length = 64 * 1024; ; length *= 8) {
      const bytes = await readUpTo(file, snapshotsOffset, Math.min(length, MAX_SNAPSHOT_TABLE_BYTES));
      const table = decodeSnapshotTable(bytes, snapshotCount, snapshotsOffset);
      if (table !== undefined) return table;
      if (bytes.length < length) throw tooShort(snapshotCount, snapshotsOffset, length >= MAX_SNAPSHOT_TABLE_BYTES);
    }
  } catch (error) {
    throw inFile(file, error);
  }
}

/** Reads the directory of persistent bitmaps; none where they are not marked as consistent. */
export async function readBitmaps(file: BlockChild, { header, extensions }: ImageHeader): Promise<readonly Bitmap[]> {
  if (extensions.bitmaps === undefined || (header.autoclear & BITMAPS) === 0n) return [];
  const { count, directoryOffset, directoryLength } = extensions.bitmaps;
  try {
    const bytes = await readUpTo(file, directoryOffset, directoryLength);
    return decodeBitmapDirectory(bytes, { count, offset: directoryOffset, clusterSize: 2 ** header.clusterBits });
  } catch (error) {
    throw inFile(file, error);
  }
}

function tooShort(count: number, offset: number, limited: boolean): BlockError {
  const end = limited ? `takes more than ${MAX_SNAPSHOT_TABLE_BYTES} bytes` : "ends past the end of the file";
  return new BlockError("CORRUPT_IMAGE", `the table of ${count} snapshots at offset ${hex(offset)} ${end}`, { offset });
}

function backingNameIn(first: Uint8Array, { backingOffset, backingLength }: Header): string | undefined {
  if (backingOffset === 0 || backingLength === 0) return undefined;
  const bytes = first.subarray(backingOffset, backingOffset + backingLength);
  if (bytes.length < backingLength)
    throw new BlockError("CORRUPT_IMAGE", `the name of the backing file at offset ${hex(backingOffset)} ends past the end of the file`, {
      offset: backingOffset,
    });
  return new TextDecoder().decode(bytes);
}

async function readUpTo(file: BlockChild, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, file.size - offset)));
  if (bytes.length > 0) await file.read(offset, bytes);
  return bytes;
}

/** Errors of the pure parts do not know which file they speak of. */
function inFile(file: BlockChild, error: unknown): unknown {
  // What the host or a server said names its place.
  if (!(error instanceof BlockError) || error.node !== undefined || error.errno !== undefined) return error;
  return new BlockError(error.code, `${file.fileName}: ${error.message}`, {
    node: file.node.name,
    offset: error.offset,
    cause: error.cause,
  });
}
