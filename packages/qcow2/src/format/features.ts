/** Feature bits of the header and their names in the feature name table. qcow2 spec, "Header", "Feature name table". */

import { textOf } from "./words.ts";

export type FeatureClass = "incompatible" | "compatible" | "autoclear";

export const DIRTY = 1n;
export const CORRUPT = 2n;
export const EXTERNAL_DATA_FILE = 4n;
export const COMPRESSION_TYPE = 8n;
export const EXTENDED_L2 = 16n;
export const KNOWN_INCOMPATIBLE: bigint = DIRTY | CORRUPT | EXTERNAL_DATA_FILE | COMPRESSION_TYPE | EXTENDED_L2;

export const LAZY_REFCOUNTS = 1n;

export const BITMAPS = 1n;
export const RAW_EXTERNAL_DATA = 2n;
export const KNOWN_AUTOCLEAR: bigint = BITMAPS | RAW_EXTERNAL_DATA;

export interface FeatureName {
  readonly featureClass: FeatureClass;
  readonly bit: number;
  readonly name: string;
}

const CLASSES: readonly FeatureClass[] = ["incompatible", "compatible", "autoclear"];
const RECORD_BYTES = 48;
const NAME_BYTES = 46;

/** The table that a new version 3 image carries, in the order in which QEMU writes it. */
export const FEATURE_NAMES: readonly FeatureName[] = [
  { featureClass: "incompatible", bit: 0, name: "dirty bit" },
  { featureClass: "incompatible", bit: 1, name: "corrupt bit" },
  { featureClass: "incompatible", bit: 2, name: "external data file" },
  { featureClass: "incompatible", bit: 3, name: "compression type" },
  { featureClass: "incompatible", bit: 4, name: "extended L2 entries" },
  { featureClass: "compatible", bit: 0, name: "lazy refcounts" },
  { featureClass: "autoclear", bit: 0, name: "bitmaps" },
  { featureClass: "autoclear", bit: 1, name: "raw external data" },
];

/** Records of an unknown class are left out; a last record that is cut short is not read. */
export function decodeFeatureNames(bytes: Uint8Array): FeatureName[] {
  const names: FeatureName[] = [];
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    const featureClass = CLASSES[bytes[at] ?? CLASSES.length];
    if (featureClass === undefined) continue;
    names.push({ featureClass, bit: bytes[at + 1] ?? 0, name: textOf(bytes.subarray(at + 2, at + RECORD_BYTES)) });
  }
  return names;
}

/** The data of the feature name table. */
export function encodeFeatureNames(names: readonly FeatureName[]): Uint8Array {
  const bytes = new Uint8Array(names.length * RECORD_BYTES);
  for (const [index, { featureClass, bit, name }] of names.entries()) {
    const at = index * RECORD_BYTES;
    bytes[at] = CLASSES.indexOf(featureClass);
    bytes[at + 1] = bit;
    bytes.set(new TextEncoder().encode(name).subarray(0, NAME_BYTES), at + 2);
  }
  return bytes;
}

/** Names for the bits set in `flags`: the image's own, else ours, else the number of the bit. */
export function nameFeatures(featureClass: FeatureClass, flags: bigint, table: readonly FeatureName[]): string[] {
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (((flags >> BigInt(bit)) & 1n) === 0n) continue;
    const known = [...table, ...FEATURE_NAMES].find((entry) => entry.featureClass === featureClass && entry.bit === bit);
    names.push(known?.name || `unknown ${featureClass} feature bit ${bit}`);
  }
  return names;
}
