/** Block status through the whole chain: which layer answers for which bytes, and how. */

import type { MaybePromise, RunStatus } from "./driver.ts";
import { BlockError } from "./errors.ts";
import { backingOf } from "./chain.ts";
import type { BlockNode } from "./node.ts";
import { SAME_TURN, type TurnBudget } from "./request/turn-budget.ts";

/** Plain data; a hint unless the node is drained. */
export interface BlockStatus {
  readonly offset: number;
  readonly length: number;
  /** Layers below the top that were passed to find it: 0 is the node itself. */
  readonly depth: number;
  /** `unallocated`: no layer has it; it reads as zeros. */
  readonly kind: "data" | "zero" | "unallocated" | "compressed";
  /** Where the bytes are (data), or the space that is kept for them (zero, unallocated). */
  readonly location?: { readonly node: string; readonly fileName: string; readonly offset: number };
  /** Zero, and data to the format, which lies in a hole of the file below. */
  readonly holeBelow?: boolean;
}

/** What to list; bytes. */
export interface ExtentRange {
  readonly offset?: number;
  /** Default: to the end. */
  readonly length?: number;
  /** Whether unallocated ranges are looked up in the backing files. Default true. */
  readonly throughBacking?: boolean;
}

/** The runs of a range in order, equal neighbours joined. Throws OUT_OF_RANGE. */
export async function* extentsOf(node: BlockNode, range: ExtentRange, turns: TurnBudget): AsyncGenerator<BlockStatus> {
  const { start, end } = boundsOf(node, range);
  let joined: BlockStatus | undefined;
  // The disk may become smaller meanwhile.
  for (let offset = start; offset < Math.min(end, node.size);) {
    const found = statusAt(node, offset, Math.min(end, node.size) - offset, range.throughBacking ?? true);
    const run = found instanceof Promise ? await found : found;
    offset += run.length;
    if (joined === undefined) joined = run;
    else if (continues(joined, run)) joined = { ...joined, length: joined.length + run.length };
    else {
      yield joined;
      joined = run;
    }
    const turn = turns.spend(0);
    if (turn !== SAME_TURN) await turn;
  }
  if (joined !== undefined) yield joined;
}

/** Where a range of the node's bytes begins and ends. Throws OUT_OF_RANGE. */
export function boundsOf(node: BlockNode, range: Pick<ExtentRange, "offset" | "length">): { readonly start: number; readonly end: number } {
  const start = range.offset ?? 0;
  const end = range.length === undefined ? node.size : start + range.length;
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start && end <= node.size) return { start, end };
  throw new BlockError("OUT_OF_RANGE", `${node.name}: bytes ${start} to ${end} do not fit into its ${node.size} bytes`, {
    node: node.name,
    offset: start,
  });
}

/** Whether every run of the range, through the backing chain, is zero or nowhere. */
export async function rangeReadsAsZero(node: BlockNode, offset: number, length: number): Promise<boolean> {
  boundsOf(node, { offset, length });
  for (let done = 0; done < length;) {
    const run = await statusAt(node, offset + done, length - done, true);
    if (run.kind !== "zero" && run.kind !== "unallocated") return false;
    done += run.length;
  }
  return true;
}

function statusAt(node: BlockNode, offset: number, length: number, throughBacking: boolean): MaybePromise<BlockStatus> {
  const run = node.status(offset, length);
  if (!(run instanceof Promise) && (run.kind !== "unallocated" || !throughBacking)) return describe(node, run, offset, 0);
  return statusBelow(node, run, offset, length, throughBacking);
}

/** Follows unallocated runs down the chain; each layer can only shorten the run. */
async function statusBelow(
  top: BlockNode,
  first: MaybePromise<RunStatus>,
  offset: number,
  length: number,
  throughBacking: boolean,
): Promise<BlockStatus> {
  let node = top;
  let run = await first;
  for (let depth = 0; ; depth++) {
    const backing = backingOf(node);
    if (run.kind !== "unallocated" || !throughBacking || backing === undefined) return describe(node, run, offset, depth);
    const left = Math.min(run.length, length);
    if (offset >= backing.size) return describe(node, { ...run, length: left }, offset, depth);
    run = await backing.status(offset, Math.min(left, backing.size - offset));
    node = backing;
  }
}

function describe(node: BlockNode, { kind, length, location, holeBelow }: RunStatus, offset: number, depth: number): BlockStatus {
  const status = { offset, length, depth, kind, ...(holeBelow === undefined ? {} : { holeBelow }) };
  if (location !== undefined) {
    const { child, childOffset } = location;
    return { ...status, location: { node: child.node.name, fileName: child.fileName, offset: childOffset } };
  }
  if (kind !== "data" || node.kind !== "protocol") return status;
  return { ...status, location: { node: node.name, fileName: node.fileName, offset } };
}

function continues(left: BlockStatus, right: BlockStatus): boolean {
  if (left.kind !== right.kind || left.depth !== right.depth || left.holeBelow !== right.holeBelow) return false;
  if (left.location === undefined || right.location === undefined) return left.location === right.location;
  return left.location.fileName === right.location.fileName && left.location.offset + left.length === right.location.offset;
}
