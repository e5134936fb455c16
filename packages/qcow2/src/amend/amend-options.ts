/** What can be amended, in qemu-img's spelling and with its words: which values there are, and what of the image forbids them. */

import { BlockError, type CreateOption, type CreateValue, isPowerOfTwo } from "@coblock/core";
import { luksAmendOptions, type SlotChange, slotChangeOf } from "@coblock/crypto";
import { CREATE_OPTIONS, versionOf } from "../create-options.ts";
import { EXTERNAL_DATA_FILE, LAZY_REFCOUNTS, RAW_EXTERNAL_DATA } from "../format/features.ts";
import type { Header } from "../format/header.ts";
import type { Description } from "../image/description.ts";

const KEY_OPTIONS = luksAmendOptions("encrypt.");
const LUKS = 2;

const NAMES: readonly string[] = [
  "backing_file",
  "backing_fmt",
  "compat",
  "data_file",
  "data_file_raw",
  "lazy_refcounts",
  "refcount_bits",
  "size",
];

export const AMEND_OPTIONS: readonly CreateOption[] = [...CREATE_OPTIONS.filter(({ name }) => NAMES.includes(name)), ...KEY_OPTIONS];

/** What shall become of the image. */
export interface AmendChoices {
  readonly version: 2 | 3;
  readonly refcountBits: number;
  readonly lazyRefcounts: boolean;
  /** Bytes. */
  readonly size: number | undefined;
  /** `undefined`: as it is. */
  readonly dataFile: string | undefined;
  /** The data file need not read like the disk any more. */
  readonly dropsRawData: boolean;
  readonly keys: SlotChange | undefined;
}

/** Throws INVALID_OPTION for what qemu-img refuses too, before anything is changed. */
export function amendChoicesOf(values: Readonly<Record<string, CreateValue>>, { header }: Description): AmendChoices {
  if ("backing_file" in values || "backing_fmt" in values)
    throw invalid("Cannot amend the backing file; it is changed with BlockNode.changeBacking, or with the command rebase");
  const version = values.compat === undefined ? header.version : versionOf(values.compat);
  const oldBits = 2 ** header.refcountOrder;
  const refcountBits = values.refcount_bits === undefined ? oldBits : Number(values.refcount_bits);
  if (!isPowerOfTwo(refcountBits) || refcountBits > 64) throw invalid("Refcount width must be a power of two and may not exceed 64 bits");
  const wasLazy = (header.compatible & LAZY_REFCOUNTS) !== 0n;
  const lazyRefcounts = values.lazy_refcounts === undefined ? wasLazy && version === 3 : values.lazy_refcounts === true;
  const { data_file: dataFile, data_file_raw: rawData, size } = values;
  if (version === 2) checkVersion2({ refcountBits, lazyRefcounts, widthGiven: values.refcount_bits !== undefined });
  const isRaw = (header.autoclear & RAW_EXTERNAL_DATA) !== 0n;
  if (rawData === true && !isRaw) throw invalid("data-file-raw cannot be set on existing images");
  if (dataFile !== undefined && (header.incompatible & EXTERNAL_DATA_FILE) === 0n)
    throw invalid("data-file can only be set for images that use an external data file");
  return {
    version,
    refcountBits,
    lazyRefcounts,
    size: size === undefined ? undefined : Number(size),
    dataFile: dataFile === undefined ? undefined : String(dataFile),
    dropsRawData: rawData === false && isRaw,
    keys: keyChangeOf(values, header, version),
  };
}

/** The keys are changed first, so that what follows must not be refused for them. */
function keyChangeOf(values: Readonly<Record<string, CreateValue>>, header: Header, version: 2 | 3): SlotChange | undefined {
  if (!KEY_OPTIONS.some(({ name }) => name in values)) return undefined;
  if (header.cryptMethod !== LUKS) throw invalid("Can't amend encryption options - encryption not present");
  if (version < header.version) throw invalid("Cannot downgrade an encrypted image");
  return slotChangeOf(values, "encrypt.");
}

interface Version2Choices {
  readonly refcountBits: number;
  readonly lazyRefcounts: boolean;
  readonly widthGiven: boolean;
}

function checkVersion2({ refcountBits, lazyRefcounts, widthGiven }: Version2Choices): void {
  const newer = "compatibility level 1.1 and above (use compat=1.1 or greater)";
  if (lazyRefcounts) throw invalid(`Lazy refcounts only supported with ${newer}`);
  if (refcountBits === 16) return;
  if (widthGiven) throw invalid("Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)");
  throw invalid("compat=0.10 requires refcount_bits=16");
}

function invalid(message: string): BlockError {
  return new BlockError("INVALID_OPTION", message);
}
