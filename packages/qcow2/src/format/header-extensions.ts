/** Header extensions: the typed records between the header and the backing file's name. qcow2 spec, "Header extensions". */

import { BlockError, hex } from "@coblock/core";
import { MAX_BACKING_FORMAT_BYTES } from "./limits.ts";
import { decodeFeatureNames, encodeFeatureNames } from "./features.ts";
import type { FeatureName } from "./features.ts";
import { readNumber64, viewOf, writeNumber64 } from "./words.ts";

/** Bytes. QEMU leaves the names of features out where the first cluster is smaller. */
export const MIN_CLUSTER_FOR_FEATURE_NAMES = 8192;

const END = 0;
const BACKING_FORMAT = 0xe2792aca;
const FEATURE_NAME_TABLE = 0x6803f857;
/** The type of the bitmaps extension. */
export const BITMAPS_EXTENSION = 0x23852875;
const ENCRYPTION = 0x0537be77;
const DATA_FILE = 0x44415441;
const LABELS: ReadonlyMap<number, string> = new Map([
  [BACKING_FORMAT, "backing format"],
  [FEATURE_NAME_TABLE, "feature name table"],
  [BITMAPS_EXTENSION, "bitmaps"],
  [ENCRYPTION, "encryption"],
  [DATA_FILE, "data file"],
]);

/** What the extension says, not yet validated against limits. */
export interface BitmapsExtension {
  readonly count: number;
  readonly directoryLength: number;
  readonly directoryOffset: number;
}

export interface HeaderExtensions {
  readonly backingFormat?: string;
  readonly dataFile?: string;
  readonly featureNames?: readonly FeatureName[];
  readonly bitmaps?: BitmapsExtension;
  /** Where the LUKS header lies in the image file. */
  readonly encryption?: { readonly offset: number; readonly length: number };
}

/** Reads the records in `area`, which begins at byte `areaOffset` of the file and ends where extensions must end. Unknown ones are compatible by definition. */
export function decodeHeaderExtensions(area: Uint8Array, areaOffset: number): HeaderExtensions {
  let extensions: HeaderExtensions = {};
  const seen = new Set<number>();
  for (const { type, data, offset } of extensionRecords(area, areaOffset)) {
    const label = LABELS.get(type);
    if (label === undefined) continue;
    if (seen.has(type))
      throw new BlockError("CORRUPT_IMAGE", `the ${label} header extension appears a second time at offset ${hex(offset)}`, { offset });
    seen.add(type);
    extensions = { ...extensions, ...decodeKnown(type, data, offset) };
  }
  return extensions;
}

/** One record as it is; `offset` is that in the file. */
export interface ExtensionRecord {
  readonly type: number;
  readonly data: Uint8Array;
  readonly offset: number;
}

/** The records of an area, those of unknown types too. */
export function* extensionRecords(area: Uint8Array, areaOffset: number): Generator<ExtensionRecord> {
  const view = viewOf(area);
  for (let at = 0; at + 8 <= area.length;) {
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === END) return;
    const offset = areaOffset + at;
    if (length > area.length - at - 8) {
      throw new BlockError(
        "CORRUPT_IMAGE",
        `header extension 0x${type.toString(16)} at offset ${hex(offset)} is ${length} bytes long and runs out of the header`,
        { offset },
      );
    }
    yield { type, data: area.subarray(at + 8, at + 8 + length), offset };
    at += 8 + Math.ceil(length / 8) * 8;
  }
}

function decodeKnown(type: number, data: Uint8Array, offset: number): HeaderExtensions {
  const view = viewOf(data);
  switch (type) {
    case BACKING_FORMAT:
      if (data.length > MAX_BACKING_FORMAT_BYTES) throw wrongLength("backing format", data, offset);
      return { backingFormat: new TextDecoder().decode(data) };
    case DATA_FILE:
      return { dataFile: new TextDecoder().decode(data) };
    case BITMAPS_EXTENSION:
      if (data.length !== 24) throw wrongLength("bitmaps", data, offset);
      if (view.getUint32(4) !== 0)
        throw new BlockError("CORRUPT_IMAGE", `the reserved field of the bitmaps header extension at offset ${hex(offset)} is not zero`, {
          offset,
        });
      return {
        bitmaps: {
          count: view.getUint32(0),
          directoryLength: readNumber64(view, 8, "bitmap directory length"),
          directoryOffset: readNumber64(view, 16, "bitmap directory offset"),
        },
      };
    case ENCRYPTION:
      if (data.length !== 16) throw wrongLength("encryption", data, offset);
      return {
        encryption: {
          offset: readNumber64(view, 0, "encryption header offset"),
          length: readNumber64(view, 8, "encryption header length"),
        },
      };
    default:
      return { featureNames: decodeFeatureNames(data) };
  }
}

function wrongLength(label: string, data: Uint8Array, offset: number): BlockError {
  return new BlockError(
    "CORRUPT_IMAGE",
    `the ${label} header extension at offset ${hex(offset)} has a wrong length, ${data.length} bytes`,
    { offset },
  );
}

/** The extensions of a new image in QEMU's order, with the end marker. */
export function encodeHeaderExtensions(extensions: Omit<HeaderExtensions, "bitmaps">): Uint8Array {
  const text = new TextEncoder();
  const parts: Uint8Array[] = [];
  if (extensions.backingFormat !== undefined) parts.push(record(BACKING_FORMAT, text.encode(extensions.backingFormat)));
  if (extensions.dataFile !== undefined) parts.push(record(DATA_FILE, text.encode(extensions.dataFile)));
  if (extensions.encryption !== undefined) parts.push(record(ENCRYPTION, encodePlace(extensions.encryption)));
  if (extensions.featureNames !== undefined) parts.push(record(FEATURE_NAME_TABLE, encodeFeatureNames(extensions.featureNames)));
  parts.push(record(END, new Uint8Array(0)));
  return Buffer.concat(parts);
}

function encodePlace({ offset, length }: { readonly offset: number; readonly length: number }): Uint8Array {
  const bytes = new Uint8Array(16);
  writeNumber64(viewOf(bytes), 0, offset);
  writeNumber64(viewOf(bytes), 8, length);
  return bytes;
}

/** An area of those records, with the end marker. */
export function encodeRecords(records: readonly ExtensionRecord[]): Uint8Array {
  return Buffer.concat([...records.map(({ type, data }) => record(type, data)), record(END, new Uint8Array(0))]);
}

/** The records with another backing format: in the old one's place, else before all others. */
export function withBackingFormat(records: readonly ExtensionRecord[], format: string | undefined): readonly ExtensionRecord[] {
  return withRecord(records, BACKING_FORMAT, format === undefined ? undefined : new TextEncoder().encode(format));
}

/** The records with another name of the data file. */
export function withDataFile(records: readonly ExtensionRecord[], name: string): readonly ExtensionRecord[] {
  return withRecord(records, DATA_FILE, new TextEncoder().encode(name));
}

/** The records with the names of all features that are known here, or with none. */
export function withFeatureNames(records: readonly ExtensionRecord[], names: readonly FeatureName[]): readonly ExtensionRecord[] {
  return withRecord(records, FEATURE_NAME_TABLE, names.length === 0 ? undefined : encodeFeatureNames(names));
}

/** The records with another one of a type: in the old one's place, else before all others; or without. */
function withRecord(records: readonly ExtensionRecord[], type: number, data: Uint8Array | undefined): readonly ExtensionRecord[] {
  const changed = data === undefined ? [] : [{ type, data, offset: 0 }];
  const at = Math.max(
    0,
    records.findIndex((each) => each.type === type),
  );
  const others = records.filter((each) => each.type !== type);
  return [...others.slice(0, at), ...changed, ...others.slice(at)];
}

/** The data of the bitmaps extension. */
export function encodeBitmapsData({ count, directoryLength, directoryOffset }: BitmapsExtension): Uint8Array {
  const bytes = new Uint8Array(24);
  viewOf(bytes).setUint32(0, count);
  writeNumber64(viewOf(bytes), 8, directoryLength);
  writeNumber64(viewOf(bytes), 16, directoryOffset);
  return bytes;
}

/** Whether an image reads the same without the record. */
export function isInformative({ type }: ExtensionRecord): boolean {
  return type === FEATURE_NAME_TABLE;
}

function record(type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + Math.ceil(data.length / 8) * 8);
  viewOf(bytes).setUint32(0, type);
  viewOf(bytes).setUint32(4, data.length);
  bytes.set(data, 8);
  return bytes;
}
