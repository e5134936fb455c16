/** The options of a new image, in qemu-img's spelling: what there is, and which go together. */

import {
  alignUp,
  BlockError,
  type CreateOption,
  type CreateValue,
  type ImageCreation,
  isPowerOfTwo,
  type Preallocation,
} from "@coblock/core";
import { ENCRYPTION_OPTIONS, encryptionOf } from "./encryption/create-encryption.ts";
import type { LuksChoice } from "@coblock/crypto";
import { MAX_BACKING_FORMAT_BYTES, MAX_NAME_BYTES } from "./format/limits.ts";

export const CREATE_OPTIONS: readonly CreateOption[] = [
  { name: "backing_file", type: "text", help: "File name of a base image" },
  { name: "backing_fmt", type: "text", help: "Image format of the base image" },
  { name: "cluster_size", type: "size", help: "qcow2 cluster size", defaultValue: 65_536 },
  { name: "compat", type: "text", help: "Compatibility level (v2 [0.10] or v3 [1.1])", defaultValue: "1.1" },
  {
    name: "compression_type",
    type: "choice",
    choices: ["zlib", "zstd"],
    help: "Compression method used for image cluster compression",
    defaultValue: "zlib",
  },
  { name: "data_file", type: "text", help: "File name of an external data file" },
  { name: "data_file_raw", type: "flag", help: "The external data file must stay valid as a raw image", defaultValue: false },
  ...ENCRYPTION_OPTIONS,
  { name: "extended_l2", type: "flag", help: "Extended L2 tables", defaultValue: false },
  { name: "lazy_refcounts", type: "flag", help: "Postpone refcount updates", defaultValue: false },
  {
    name: "preallocation",
    type: "choice",
    choices: ["off", "metadata", "falloc", "full"],
    help: "Preallocation mode (allowed values: off, metadata, falloc, full)",
    defaultValue: "off",
  },
  { name: "refcount_bits", type: "number", help: "Width of a reference count entry in bits", defaultValue: 16 },
  { name: "size", type: "size", help: "Virtual disk size" },
];

/** Options that go together, with all defaults. */
export interface CreateChoices {
  readonly version: 2 | 3;
  /** Bytes, whole sectors. */
  readonly size: number;
  readonly clusterSize: number;
  readonly refcountBits: number;
  readonly extendedL2: boolean;
  readonly lazyRefcounts: boolean;
  readonly compressionType: number;
  readonly preallocation: Preallocation;
  readonly dataFile: string | undefined;
  readonly rawDataFile: boolean;
  readonly backing: { readonly filename: string; readonly format: string | undefined } | undefined;
  readonly encryption: LuksChoice | undefined;
}

const SECTOR = 512;
const VERSIONS: ReadonlyMap<string, 2 | 3> = new Map([
  ["0.10", 2],
  ["v2", 2],
  ["1.1", 3],
  ["v3", 3],
]);

/** Throws INVALID_OPTION for what qemu-img refuses too, UNSUPPORTED_FEATURE for what this package cannot make. */
export function choicesOf({ size, values, backing }: Pick<ImageCreation, "size" | "values" | "backing">): CreateChoices {
  const version = versionOf(values.compat ?? "1.1");
  const named =
    typeof values.backing_file === "string"
      ? { filename: values.backing_file, format: typeof values.backing_fmt === "string" ? values.backing_fmt : undefined }
      : undefined;
  const choices: CreateChoices = {
    version,
    size: alignUp(size, SECTOR),
    clusterSize: number(values.cluster_size, 65_536),
    refcountBits: number(values.refcount_bits, 16),
    extendedL2: values.extended_l2 === true,
    lazyRefcounts: values.lazy_refcounts === true,
    compressionType: values.compression_type === "zstd" ? 1 : 0,
    preallocation: preallocationOf(values.preallocation),
    dataFile: typeof values.data_file === "string" ? values.data_file : undefined,
    rawDataFile: values.data_file_raw === true,
    backing: backing ?? named,
    encryption: encryptionOf(values),
  };
  if (typeof values.size === "number" && values.size !== size)
    throw invalid(`the size is given twice, as ${size} and ${values.size} bytes`);
  checkTables(choices);
  checkRefcounts(choices);
  checkFiles(choices);
  return choices;
}

// In the order in which qemu-img refuses what does not go together.

const NEWER = "compatibility level 1.1 and above (use version=v3 or greater)";

function checkTables({ version, clusterSize, extendedL2, backing, preallocation }: CreateChoices): void {
  if (extendedL2 && version === 2) throw invalid(`Extended L2 entries are only supported with ${NEWER}`);
  if (!isPowerOfTwo(clusterSize) || clusterSize < 512 || clusterSize > 2 ** 21)
    throw invalid("Cluster size must be a power of two between 512 and 2048k");
  if (extendedL2 && clusterSize < 16_384)
    throw invalid("Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
  if (backing !== undefined && preallocation !== "off" && !extendedL2)
    throw invalid("Backing file and preallocation can only be used at the same time if extended_l2 is on");
}

function checkRefcounts({ version, refcountBits, lazyRefcounts }: CreateChoices): void {
  if (lazyRefcounts && version === 2) throw invalid(`Lazy refcounts only supported with ${NEWER}`);
  if (!isPowerOfTwo(refcountBits) || refcountBits > 64) throw invalid("Refcount width must be a power of two and may not exceed 64 bits");
  if (refcountBits !== 16 && version === 2)
    throw invalid("Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)");
}

function checkFiles({ version, backing, dataFile, rawDataFile, compressionType, encryption }: CreateChoices): void {
  if (rawDataFile && dataFile === undefined) throw invalid("data-file-raw requires data-file");
  if (rawDataFile && backing !== undefined) throw invalid("Backing file and data-file-raw cannot be used at the same time");
  if (dataFile !== undefined && version === 2) throw invalid(`External data files are only supported with ${NEWER}`);
  if (compressionType !== 0 && version === 2) throw invalid(`Non-zlib compression type is only supported with ${NEWER}`);
  if (rawDataFile && encryption !== undefined)
    throw invalid("an encrypted data file cannot be a raw image: data-file-raw and encryption do not go together");
  if (backing === undefined) return;
  if (Buffer.byteLength(backing.filename) > MAX_NAME_BYTES)
    throw invalid(`the name of the backing file is longer than ${MAX_NAME_BYTES} bytes`);
  if (Buffer.byteLength(backing.format ?? "") > MAX_BACKING_FORMAT_BYTES)
    throw invalid(`the backing format '${String(backing.format)}' is longer than ${MAX_BACKING_FORMAT_BYTES} bytes`);
}

/** The version of a compatibility level. Throws INVALID_OPTION. */
export function versionOf(compat: CreateValue): 2 | 3 {
  const version = VERSIONS.get(String(compat));
  if (version === undefined) throw invalid(`Unknown compatibility level '${String(compat)}'`);
  return version;
}

function number(value: unknown, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}

function preallocationOf(value: unknown): Preallocation {
  return value === "metadata" || value === "falloc" || value === "full" ? value : "off";
}

function invalid(message: string): BlockError {
  return new BlockError("INVALID_OPTION", message);
}
