/** Opens images for tests: `blkdebug`. */

import {
  BlockError,
  isPowerOfTwo,
  type BlockDriver,
  type BlockImage,
  type ImageLimits,
  type NodeOptions,
  type OpenContext,
} from "@coblock/core";
import { wholeNumber } from "../option-values.ts";
import { BlkdebugImage } from "./blkdebug-image.ts";
import { readRules } from "./config-file.ts";
import { RuleEngine } from "./rule-engine.ts";
import { rulesOf } from "./rules.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    blkdebug: BlkdebugOptions;
  }
}

/** Names and meanings are those of QEMU's `BlockdevOptionsBlkdebug`; rules may come as JSON and are checked when they are opened. */
export interface BlkdebugOptions {
  readonly image: NodeOptions;
  /** A file of rules. */
  readonly config?: string;
  readonly injectError?: unknown;
  readonly setState?: unknown;
  /** Bytes; a power of two. */
  readonly align?: number;
  /** Bytes, multiples of what stands before them. */
  readonly maxTransfer?: number;
  readonly optWriteZero?: number;
  readonly maxWriteZero?: number;
  readonly optDiscard?: number;
  readonly maxDiscard?: number;
}

/** QEMU counts these in `int`. */
const LARGEST = 2 ** 31 - 1;

export const driver: BlockDriver<"blkdebug"> = Object.freeze({
  name: "blkdebug",
  kind: "filter",
  optionNames: [
    "image",
    "config",
    "injectError",
    "setState",
    "align",
    "maxTransfer",
    "optWriteZero",
    "maxWriteZero",
    "optDiscard",
    "maxDiscard",
  ],
  open,
});

async function open(options: BlkdebugOptions, context: OpenContext): Promise<BlockImage> {
  const fromFile = options.config === undefined ? [] : await readRules(options.config);
  const rules = [...fromFile, ...rulesOf(options.injectError, options.setState)];
  if (options.image === undefined)
    throw new BlockError("INVALID_OPTION", 'A block device must be specified for "image"', { node: context.nodeName });
  const child = await context.child("image", "filtered", options.image);
  const limits = limitsOf(options, child.limits.requestAlignment);
  return new BlkdebugImage(child, new RuleEngine(rules, context.clock, context.nodeName), limits);
}

/** Throws INVALID_OPTION. */
function limitsOf(options: BlkdebugOptions, childAlignment: number): ImageLimits {
  const align = bounded(options.align, "align", 1);
  if (align !== undefined && !isPowerOfTwo(align)) throw unfit("align", align);
  const requestAlignment = Math.max(align ?? 1, childAlignment);
  const maxTransfer = bounded(options.maxTransfer, "max-transfer", requestAlignment);
  const zeroAlignment = bounded(options.optWriteZero, "opt-write-zero", requestAlignment);
  const maxZeroes = bounded(options.maxWriteZero, "max-write-zero", Math.max(zeroAlignment ?? 1, requestAlignment));
  const discardAlignment = bounded(options.optDiscard, "opt-discard", requestAlignment);
  const maxDiscard = bounded(options.maxDiscard, "max-discard", Math.max(discardAlignment ?? 1, requestAlignment));
  const limits = { requestAlignment, maxTransfer, zeroAlignment, maxZeroes, discardAlignment, maxDiscard };
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined)) as unknown as ImageLimits;
}

/** A multiple of `unit`; 0 and nothing are no limit. */
function bounded(value: unknown, name: string, unit: number): number | undefined {
  const bytes = wholeNumber(value, name);
  if (bytes === undefined || bytes === 0) return undefined;
  if (bytes > LARGEST || bytes % unit !== 0) throw unfit(name, bytes);
  return bytes;
}

function unfit(name: string, bytes: number): BlockError {
  return new BlockError("INVALID_OPTION", `Cannot meet constraints with ${name} ${bytes}`);
}
