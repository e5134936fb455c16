/** Cuts the parts of a disk that a job has work in into windows, each short enough to keep requests out meanwhile. */

import { alignDown } from "../binary/align.ts";
import type { BlockStatus } from "../extents.ts";
import type { BlockNode } from "../node.ts";

/** Bytes that a window has at the most, unless it is one run of zeros; a multiple of every cluster size that frees space. */
const WINDOW_LENGTH = 16 * 1024 * 1024;
/** Zeros cost one request however long they are. */
const ZERO_WINDOW_LENGTH = 4096 * WINDOW_LENGTH;

/** Bytes of the disk; starts at a multiple of 16 MiB. */
export interface Window {
  readonly offset: number;
  readonly length: number;
}

/** In order, and each part once. `kindOf` says of an extent whether it is data or zeros to work on, or not to be looked at. */
export async function* windowsOf(
  extents: AsyncIterable<BlockStatus>,
  size: number,
  kindOf: (extent: BlockStatus) => "data" | "zero" | "shared",
): AsyncGenerator<Window, void, undefined> {
  let done = 0;
  for await (const extent of extents) {
    const kind = kindOf(extent);
    if (kind === "shared") continue;
    const end = extent.offset + extent.length;
    while (done < end) {
      const offset = Math.max(done, alignDown(extent.offset, WINDOW_LENGTH));
      const zeroEnd = kind === "zero" && offset >= extent.offset ? Math.min(alignDown(end, WINDOW_LENGTH), offset + ZERO_WINDOW_LENGTH) : 0;
      done = Math.min(size, Math.max(offset + WINDOW_LENGTH, zeroEnd));
      yield { offset, length: done - offset };
    }
  }
}

/** What the job reads of a node within the node's exclusive section, where plain requests would wait for the section to end. */
export function insideOf(node: BlockNode): Pick<BlockNode, "size" | "optimalTransfer" | "extents" | "read"> {
  return {
    get size() {
      return node.size;
    },
    optimalTransfer: node.optimalTransfer,
    extents: (range) => node.extents(range),
    read: (offset, into) => node.requests.readInside(offset, into),
  };
}
