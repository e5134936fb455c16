/** Whether an image has clusters that were allocated in advance, of which the host has stored nothing. */

import { BlockError } from "@coblock/core";
import { offsetOf } from "../format/entries.ts";
import { clustersFor } from "../format/geometry.ts";
import type { Header } from "../format/header.ts";
import { refcountCodec } from "../format/refcounts.ts";
import { viewOf } from "../format/words.ts";
import type { Metadata } from "../metadata/metadata.ts";

/**
 * So it is where many more clusters have an owner than the file takes space for: QEMU's rule, more than ten for nine, and two at least. Under
 * the driver lock. Refcounts that are damaged or cannot be read say nothing: the disk can be read without them.
 */
export async function hasHolesBelow(metadata: Metadata, header: Header): Promise<boolean> {
  const { file, geometry } = metadata;
  const allocated = await file.child.node.allocatedSize();
  if (allocated === undefined) return false;
  const stored = Math.floor(allocated / geometry.clusterSize);
  const many = Math.max(Math.floor((stored * 10) / 9), stored + 2);
  try {
    return await ownsAtLeast(many, metadata, header);
  } catch (error) {
    if (error instanceof BlockError && (error.code === "CORRUPT_IMAGE" || error.code === "IO")) return false;
    throw error;
  }
}

/** Reads refcount blocks past the cache, which keeps what requests need. */
async function ownsAtLeast(many: number, metadata: Metadata, { refcountTableOffset, refcountTableClusters }: Header): Promise<boolean> {
  const { file, geometry, writable } = metadata;
  const { clusterSize, refcountBits, refcountsPerBlock } = geometry;
  const clusters = clustersFor(geometry, file.size);
  if (clusters < many) return false;
  const table =
    writable?.refcounts.table.view ??
    viewOf(await file.readTable("the refcount table", refcountTableOffset, refcountTableClusters * clusterSize));
  const codec = refcountCodec(refcountBits);
  let owned = 0;
  for (let first = 0, at = 0; first < clusters && at + 8 <= table.byteLength; first += refcountsPerBlock, at += 8) {
    const offset = offsetOf(table.getUint32(at), table.getUint32(at + 4));
    if (offset === 0) continue;
    const cached = writable?.refcounts.blockNow(at / 8)?.table.view;
    const block = cached ?? viewOf(await file.readTable("a refcount block", offset, clusterSize));
    const end = Math.min(refcountsPerBlock, clusters - first);
    for (let index = codec.findUsed(block, 0, end); index < end; index = codec.findUsed(block, index, end)) {
      const free = codec.findFree(block, index, end);
      owned += free - index;
      index = free;
    }
    if (owned >= many) return true;
  }
  return false;
}
