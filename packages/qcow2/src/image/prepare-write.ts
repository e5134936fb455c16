/** What an image must say on disk before the first byte of it is changed. */

import { BITMAP_IN_USE } from "../format/bitmap-directory.ts";
import { KNOWN_AUTOCLEAR } from "../format/features.ts";
import { viewOf } from "../format/words.ts";
import type { Metadata } from "../metadata/metadata.ts";
import type { Description } from "./description.ts";

/**
 * Clears autoclear features that are unknown here, since nobody keeps up what they promise. Persistent bitmaps are known but not kept
 * up either: they are marked as in use, so that whoever reads them next knows that they miss changes, and their space stays counted.
 */
export async function prepareWrite({ file }: Metadata, { bitmaps, extensions }: Description): Promise<void> {
  await file.clearAutoclear(file.autoclear & ~KNOWN_AUTOCLEAR);
  const directory = extensions.bitmaps;
  const stale = bitmaps.filter(({ flags }) => (flags & BITMAP_IN_USE) === 0);
  if (directory === undefined || stale.length === 0) return;
  for (const { flags, flagsAt } of stale) {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, flags | BITMAP_IN_USE);
    await file.write(directory.directoryOffset + flagsAt, bytes);
  }
  await file.flush();
}
