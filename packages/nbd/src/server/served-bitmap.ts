/** Finds the dirty bitmaps that an export shows. */

import { backingOf, BlockError, type BlockNode, type DirtyBitmap, filteredBy } from "@coblock/core";

/**
 * The bitmap of that name in the disk, or else in the uppermost of the images below that has one: a backup knows the bitmap of the image
 * that was on top when it was made. Throws NOT_FOUND, and NOT_ALLOWED for a bitmap that missed changes.
 */
export async function findServedBitmap(disk: BlockNode, name: string): Promise<DirtyBitmap> {
  const place = disk.fileName;
  for (let layer: BlockNode | undefined = disk; layer !== undefined; layer = filteredBy(layer) ?? backingOf(layer)) {
    const bitmap = (await layer.bitmaps.all()).find((one) => one.name === name);
    if (bitmap?.inconsistent === true) throw new BlockError("NOT_ALLOWED", `${place}: Bitmap '${name}' is inconsistent and cannot be used`);
    if (bitmap !== undefined) return bitmap;
  }
  throw new BlockError("NOT_FOUND", `${place}: Bitmap '${name}' is not found`);
}
