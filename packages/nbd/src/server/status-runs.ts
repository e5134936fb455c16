/** Runs of block status as they go on the wire: neighbours joined, whole blocks, no more than fit. */

import type { StatusExtent } from "../protocol/chunk.ts";

/** What limits a list of runs. */
export interface RunLimits {
  /** Bytes; runs begin and end with whole blocks of that size, except at the end of the disk. */
  readonly blockSize: number;
  /** The state of a block in which two states meet. */
  readonly combine: (left: number, right: number) => number;
  /** Runs at the most, at least 1. */
  readonly maxCount: number;
}

/** The first runs of `source`, which begins at a whole block. */
export async function collectRuns(
  source: AsyncIterable<StatusExtent> | Iterable<StatusExtent>,
  limits: RunLimits,
): Promise<StatusExtent[]> {
  const runs: { length: number; readonly flags: number }[] = [];
  for await (const run of wholeBlocks(source, limits)) {
    const last = runs.at(-1);
    if (last?.flags === run.flags) last.length += run.length;
    else if (runs.length === limits.maxCount) break;
    else runs.push({ ...run });
  }
  return runs;
}

/** A block that is of two states is of one, as `combine` says. */
async function* wholeBlocks(
  source: AsyncIterable<StatusExtent> | Iterable<StatusExtent>,
  { blockSize, combine }: RunLimits,
): AsyncGenerator<StatusExtent, void, undefined> {
  let begun: { length: number; flags: number } | undefined;
  for await (const { length, flags } of source) {
    let left = length;
    if (begun !== undefined) {
      const added = Math.min(left, blockSize - begun.length);
      begun = { length: begun.length + added, flags: combine(begun.flags, flags) };
      left -= added;
      if (begun.length < blockSize) continue;
      yield begun;
      begun = undefined;
    }
    const rest = left % blockSize;
    if (left > rest) yield { length: left - rest, flags };
    if (rest > 0) begun = { length: rest, flags };
  }
  if (begun !== undefined) yield begun;
}
