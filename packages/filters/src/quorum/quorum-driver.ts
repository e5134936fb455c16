/** Keeps the same disk in several images and believes most of them: `quorum`. */

import { BlockError, type BlockChild, type BlockDriver, type BlockImage, type NodeOptions, type OpenContext } from "@coblock/core";
import { flagOf, listOf, wholeNumber } from "../option-values.ts";
import { QuorumImage } from "./quorum-image.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    quorum: QuorumOptions;
  }
}

/** QEMU's `BlockdevOptionsQuorum`. */
export interface QuorumOptions {
  /** A list, or an object with the members 0, 1, … */
  readonly children: unknown;
  /** How many must agree. */
  readonly voteThreshold: number;
  /** Reads fail where any two differ. Two children alone. */
  readonly blkverify?: boolean;
  /** Children that were outvoted are written what the others have. */
  readonly rewriteCorrupted?: boolean;
  /** `fifo`: the first child that reads without an error is believed. */
  readonly readPattern?: "quorum" | "fifo";
}

export const driver: BlockDriver<"quorum"> = Object.freeze({
  name: "quorum",
  kind: "filter",
  optionNames: ["children", "voteThreshold", "blkverify", "rewriteCorrupted", "readPattern"],
  open,
});

async function open(options: QuorumOptions, context: OpenContext): Promise<BlockImage> {
  const described = listOf(options.children, "children");
  const threshold = wholeNumber(options.voteThreshold, "vote-threshold");
  const readPattern = options.readPattern ?? "quorum";
  const verifies = flagOf(options.blkverify, "blkverify");
  const rewrites = flagOf(options.rewriteCorrupted, "rewrite-corrupted");
  if (described.length === 0) throw new BlockError("INVALID_OPTION", "Number of provided children must be 1 or more");
  if (readPattern !== "quorum" && readPattern !== "fifo")
    throw new BlockError("INVALID_OPTION", "Please set read-pattern as fifo or quorum");
  if (threshold === undefined || threshold < 1) throw new BlockError("INVALID_OPTION", "Parameter 'vote-threshold' expects a value >= 1");
  if (threshold > described.length) throw new BlockError("INVALID_OPTION", "threshold may not exceed children count");
  if (verifies && (described.length !== 2 || threshold !== 2))
    throw new BlockError("INVALID_OPTION", "blkverify=on can only be set if there are exactly two files and vote-threshold is 2");
  if (rewrites && verifies) throw new BlockError("INVALID_OPTION", "rewrite-corrupted=on cannot be used with blkverify=on");
  const children: BlockChild[] = [];
  for (const [index, child] of described.entries()) children.push(await context.child(`children.${index}`, "data", child as NodeOptions));
  const size = children[0]?.size;
  if (children.some((child) => child.size !== size)) throw new BlockError("INVALID_OPTION", "the children of a quorum must be of one size");
  const { nodeName, clock, readOnly } = context;
  return new QuorumImage({ children, threshold, readPattern, rewrites: rewrites && !readOnly, nodeName, clock });
}
