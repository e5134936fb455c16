/** The table of one persistent bitmap: where each cluster of its bits lies. qcow2 spec, "Bitmap table". */

import { BlockError, hex } from "@coblock/core";
import { entryText, isOffsetExact, offsetOf } from "./entries.ts";
import { viewOf, writeNumber64 } from "./words.ts";

const ENTRY_BYTES = 8;
const ALL_ONES = 1;

/** Bits that an entry stands for: all clear, all set, or in the cluster at that offset. */
export type BitmapCluster = "zeros" | "ones" | number;

/** Throws CORRUPT_IMAGE for an entry that means nothing; `name` is the bitmap's, `offset` the table's. */
export function decodeBitmapTable(bytes: Uint8Array, name: string, offset: number, clusterSize: number): BitmapCluster[] {
  const view = viewOf(bytes);
  const clusters: BitmapCluster[] = [];
  for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    const place = offsetOf(high, low);
    const reserved = high >= 2 ** 24 || low % 512 > (place === 0 ? ALL_ONES : 0);
    if (reserved || !isOffsetExact(high) || place % clusterSize !== 0)
      throw new BlockError(
        "CORRUPT_IMAGE",
        `entry ${at / ENTRY_BYTES} of the table of bitmap '${name}' at offset ${hex(offset)} is ${entryText(high, low)}, which is no place of bits`,
        { offset: offset + at },
      );
    clusters.push(place !== 0 ? place : low === 0 ? "zeros" : "ones");
  }
  return clusters;
}

/** The bytes of a table. */
export function encodeBitmapTable(clusters: readonly BitmapCluster[]): Uint8Array {
  const bytes = new Uint8Array(clusters.length * ENTRY_BYTES);
  const view = viewOf(bytes);
  for (const [index, cluster] of clusters.entries())
    writeNumber64(view, index * ENTRY_BYTES, cluster === "zeros" ? 0 : cluster === "ones" ? ALL_ONES : cluster);
  return bytes;
}
