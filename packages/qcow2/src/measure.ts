/** How large a new image becomes: all metadata of a full disk, and the clusters that the content needs. */

import { alignUp, BlockError, type MeasuredContent, type Measurement } from "@coblock/core";
import { choicesOf, type CreateChoices } from "./create-options.ts";
import { MAX_L1_BYTES } from "./format/limits.ts";

/** Bytes of the image file as `qemu-img measure` counts them: never less than are needed. */
export async function measureImage({ size, values, extents, hasBacking }: MeasuredContent): Promise<Measurement> {
  const choices = choicesOf({ size, values: { ...values, size } });
  const { clusterSize, preallocation, extendedL2, backing, encryption } = choices;
  const diskSize = alignUp(choices.size, clusterSize);
  const tables = Math.ceil(diskSize / clusterSize / (clusterSize / (extendedL2 ? 16 : 8)));
  if (tables * 8 > MAX_L1_BYTES) throw new BlockError("INVALID_OPTION", "The image size is too large (try using a larger cluster size)");
  const metadata = metadataLength(choices, diskSize) + alignUp(encryption?.areaLength ?? 0, clusterSize);
  const reserved = preallocation === "falloc" || preallocation === "full" || hasBacking === true || backing !== undefined;
  const needed = reserved ? diskSize : await clusterBytes(extents, clusterSize);
  return { required: metadata + needed, fullyAllocated: metadata + diskSize };
}

/** Bytes of all clusters that hold data. Zeros and what is not allocated need none. */
async function clusterBytes(extents: MeasuredContent["extents"], clusterSize: number): Promise<number> {
  let bytes = 0;
  let counted = 0;
  if (extents === undefined) return 0;
  for await (const { offset, length, kind } of extents) {
    if (kind === "zero" || kind === "unallocated") continue;
    const start = Math.max(counted, offset - (offset % clusterSize));
    const end = alignUp(offset + length, clusterSize);
    bytes += Math.max(0, end - start);
    counted = Math.max(counted, end);
  }
  return bytes;
}

/** Header, L1 and L2 tables, and the refcounts of all these and of the disk's clusters. */
function metadataLength({ clusterSize, extendedL2, refcountBits }: CreateChoices, diskSize: number): number {
  const l2EntrySize = extendedL2 ? 16 : 8;
  const l2Bytes = alignUp(diskSize / clusterSize, clusterSize / l2EntrySize) * l2EntrySize;
  const l1Bytes = alignUp(l2Bytes / clusterSize, clusterSize / 8) * 8;
  const bytes = clusterSize + l2Bytes + l1Bytes;
  const clusters = (bytes + diskSize) / clusterSize;
  let blocks = 0;
  let table = 0;
  for (let total = clusters, before = 0; total !== before; total = clusters + blocks + table) {
    before = total;
    blocks = Math.ceil((clusters + table + blocks) / ((clusterSize * 8) / refcountBits));
    table = Math.ceil(blocks / (clusterSize / 8));
  }
  return bytes + (blocks + table) * clusterSize;
}
