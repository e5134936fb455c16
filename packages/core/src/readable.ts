/** A node's bytes as a web stream. */

import { boundsOf } from "./extents.ts";
import type { BlockNode } from "./node.ts";

const CHUNK_LENGTH = 256 * 1024;

/** Reads on demand, 256 KiB at a time; cancelling stops after the read in flight. */
export function readableOf(node: BlockNode, range: { readonly offset?: number; readonly length?: number }): ReadableStream<Uint8Array> {
  const { start, end } = boundsOf(node, range);
  let offset = start;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller): Promise<void> {
        if (offset >= end) return controller.close();
        const chunk = new Uint8Array(Math.min(CHUNK_LENGTH, end - offset));
        await node.read(offset, chunk);
        offset += chunk.length;
        controller.enqueue(chunk);
      },
    },
    { highWaterMark: 1 },
  );
}
