/** What a format does that keeps dirty bitmaps inside the image. */

import type { DirtyBitmap } from "./dirty-bitmap.ts";

/**
 * Part of an image whose format keeps dirty bitmaps. Core follows changes in the bitmaps that `load` and `add` name; the image says on
 * disk that what it has of them is outdated before anything changes, and writes them back when it is closed. All but `load` are called in
 * exclusive mode, with the image prepared for writing and all else on stable storage.
 */
export interface ImageBitmaps {
  /** Whether this image can keep bitmaps: not all versions of a format do. */
  readonly canKeep: boolean;
  /** Those that the image keeps, with what they hold. Called once, before the first change; all later calls are about these objects. */
  load(): Promise<readonly DirtyBitmap[]>;
  /** Another one to keep; nothing of it is on disk before `store`. Throws where the image cannot keep it, and then does not. */
  add(bitmap: DirtyBitmap): Promise<void>;
  /** The bitmap is about to be changed by other means than a write: what is on disk must not pass for what it holds. */
  change(bitmap: DirtyBitmap): Promise<void>;
  /** The bitmap is gone from disk when it returns; where it fails, the image still has it. */
  remove(bitmap: DirtyBitmap): Promise<void>;
  /** Throws UNSUPPORTED_FEATURE where the disk cannot get that size because of a bitmap. */
  checkResize(size: number): void;
  /** Writes all back, the last thing before the image is closed. A failure or a power cut leaves them marked as outdated. */
  store(): Promise<void>;
}
