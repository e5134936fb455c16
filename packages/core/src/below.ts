/** What a node knows by asking those that it stands on. */

import type { Breakpoints } from "./breakpoints.ts";
import { filteredBy } from "./chain.ts";
import type { MaybePromise, RunStatus } from "./driver.ts";
import type { BlockNode } from "./node.ts";

/** The file below, or what is filtered. */
export function storageOf(node: BlockNode): BlockNode | undefined {
  return node.children.get("file")?.node ?? filteredBy(node);
}

/** See `BlockNode.allocatedSize`. */
export async function allocatedSizeOf(node: BlockNode): Promise<number | undefined> {
  const own = await node.requests.image.allocatedSize?.();
  if (own !== undefined) return own;
  let sum: number | undefined;
  for (const child of node.children.values()) {
    if (child.role === "backing") continue;
    const bytes = await child.node.allocatedSize();
    if (bytes !== undefined) sum = (sum ?? 0) + bytes;
  }
  return sum;
}

/** See `BlockNode.identity`. */
export function identityOf(node: BlockNode): string | undefined {
  return node.requests.image.identity ?? storageOf(node)?.identity;
}

/** See `BlockNode.optimalTransfer`. */
export function optimalTransferOf(node: BlockNode): number {
  const own = node.requests.image.limits.optimalTransfer ?? 0;
  return Math.max(own, ...[...node.children.values()].map((child) => child.node.optimalTransfer));
}

/** What was never written reads as zeros, in a new image and in one that has grown; not so on a disk that is encrypted as a whole. */
export function newSpaceReadsZero(node: BlockNode): boolean {
  const { image } = node.requests;
  return image.newSpaceReads === undefined && ("lookup" in image || readsZeroBelow(node));
}

function readsZeroBelow(node: BlockNode): boolean {
  const storage = storageOf(node);
  return storage === undefined || newSpaceReadsZero(storage);
}

/** See `BlockNode.breakpoints`. */
export function breakpointsOf(node: BlockNode): Breakpoints | undefined {
  return node.requests.image.breakpoints ?? storageOf(node)?.breakpoints;
}

/** See `BlockNode.status`. */
export function statusOf(node: BlockNode, offset: number, length: number): MaybePromise<RunStatus> {
  const { image } = node.requests;
  if (image.status !== undefined) return image.status(offset, length);
  return filteredBy(node)?.status(offset, length) ?? { kind: "data", length };
}
