/** The open image, as those parts of it see it that change what it says of itself: its snapshots and its bitmaps. */

import type { Guarded, OpenContext } from "@coblock/core";
import type { Geometry } from "../format/geometry.ts";
import type { Metadata } from "../metadata/metadata.ts";
import type { Description } from "./description.ts";

export interface ImageOwner {
  readonly state: Guarded<Metadata>;
  readonly geometry: Geometry;
  readonly context: OpenContext;
  readonly description: Description;
  /** Virtual size, bytes. */
  readonly size: number;
  /** On disk it is so already. */
  changed(description: Description, size: number): void;
}
