/** A node's bytes as a web stream. */

import { BlockError } from "./errors.ts";
import type { BlockNode } from "./node.ts";

const CHUNK_LENGTH = 256 * 1024;

/** Reads on demand, 256 KiB at a time; cancelling stops after the read in flight. */
export function readableOf(node: BlockNode, range: { readonly offset?: number; readonly length?: number }): ReadableStream<Uint8Array> {
  let offset = range.offset ?? 0;
  const end = range.length === undefined ? node.size : offset + range.length;
  if (offset < 0 || end > node.size || end < offset) {
    throw new BlockError("OUT_OF_RANGE", `${node.name}: bytes ${offset} to ${end} do not fit into its ${node.size} bytes`, {
      node: node.name,
      offset,
    });
  }
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
