/** The bits of one persistent bitmap: from the image file into memory and back, a cluster at a time. qcow2 spec, "Bitmap data". */

import { BlockError, type DirtyBitmap, hex, type SparseSet } from "@coblock/core";
import type { Bitmap } from "../format/bitmap-directory.ts";
import { type BitmapCluster, decodeBitmapTable, encodeBitmapTable } from "../format/bitmap-table.ts";
import { clusterOf, type Geometry } from "../format/geometry.ts";
import type { ImageFile } from "../metadata/image-file.ts";
import type { Metadata } from "../metadata/metadata.ts";
import type { NewTables } from "../metadata/new-tables.ts";

/** Where the clusters of a bitmap lie. */
export async function readBitmapTable({ file, geometry }: Metadata, entry: Bitmap): Promise<readonly BitmapCluster[]> {
  const { name, tableOffset, tableEntries } = entry;
  const bytes = await file.readTable(`the table of bitmap '${name}'`, tableOffset, tableEntries * 8);
  try {
    return decodeBitmapTable(bytes, name, tableOffset, geometry.clusterSize);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw file.corrupt(error.message, error.offset ?? tableOffset);
  }
}

/**
 * Sets in `bitmap`, which is clean, what the file has. No cluster may be used twice, here or by those that used `seen` before: so all
 * bitmaps together never take more memory than the file has bytes. Throws CORRUPT_IMAGE.
 */
export async function loadBits(metadata: Metadata, entry: Bitmap, bitmap: DirtyBitmap, seen: SparseSet): Promise<void> {
  const { file, geometry } = metadata;
  const { name, tableOffset, tableEntries } = entry;
  const expected = clustersOfBits(bitmap, geometry);
  if (tableEntries !== expected)
    throw file.corrupt(`bitmap '${name}' has a table of ${tableEntries} entries, and its disk takes ${expected}`, tableOffset);
  const bitsEach = geometry.clusterSize * 8;
  for (const [index, cluster] of (await readBitmapTable(metadata, entry)).entries()) {
    const start = index * bitsEach;
    if (cluster === "zeros") continue;
    if (cluster === "ones") bitmap.setBits(start, start + bitsEach);
    else {
      if (!seen.add(clusterOf(geometry, cluster)))
        throw file.corrupt(`the bits of bitmap '${name}' at offset ${hex(cluster)} are those of another, too`, tableOffset + index * 8);
      bitmap.loadBits(start, await readCluster(file, name, cluster, geometry.clusterSize));
    }
  }
}

/** Writes all bits, and the table that leads to them, to new space. */
export async function writeBits(
  { geometry }: Metadata,
  tables: NewTables,
  bitmap: DirtyBitmap,
): Promise<Pick<Bitmap, "tableOffset" | "tableEntries">> {
  const bitsEach = geometry.clusterSize * 8;
  const bytes = new Uint8Array(geometry.clusterSize);
  const clusters: BitmapCluster[] = [];
  for (let start = 0; clusters.length < clustersOfBits(bitmap, geometry); start += bitsEach) {
    const end = start + bitsEach;
    const uniform = uniformBits(bitmap, start, end);
    if (uniform === undefined) {
      bitmap.readBits(start, bytes);
      const offset = await tables.allocate(bytes.length);
      await tables.write(offset, bytes);
      clusters.push(offset);
    } else clusters.push(uniform);
  }
  const table = encodeBitmapTable(clusters);
  const tableOffset = await tables.allocate(table.length);
  await tables.write(tableOffset, table);
  return { tableOffset, tableEntries: clusters.length };
}

/** Clusters that the bits take, at least one: a table is never empty. */
function clustersOfBits({ length }: DirtyBitmap, { clusterSize }: Geometry): number {
  return Math.max(1, Math.ceil(length / (clusterSize * 8)));
}

/** Bits behind the end are clear, so the last cluster of a disk is all ones only where it is full. */
function uniformBits(bitmap: DirtyBitmap, start: number, end: number): BitmapCluster | undefined {
  if (bitmap.nextBit(start, true) >= Math.min(end, bitmap.length)) return "zeros";
  return end <= bitmap.length && bitmap.nextBit(start, false) >= end ? "ones" : undefined;
}

async function readCluster(file: ImageFile, name: string, offset: number, length: number): Promise<Uint8Array> {
  return file.readTable(`bits of bitmap '${name}'`, offset, length);
}
