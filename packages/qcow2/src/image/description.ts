/** What an image says of itself, as it was when it was opened. */

import type { LuksHeader } from "@coblock/crypto";
import type { Bitmap } from "../format/bitmap-directory.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import type { ImageHeader } from "./read-header.ts";

export interface Description extends ImageHeader {
  readonly snapshots: readonly Snapshot[];
  /** Bytes of the snapshot table. */
  readonly snapshotTableLength: number;
  /** Persistent bitmaps that are marked as consistent. */
  readonly bitmaps: readonly Bitmap[];
  /** Key slots, where the image is encrypted with LUKS and not opened to be checked alone. */
  readonly luks: LuksHeader | undefined;
}
