/** All that the driver lock of a qcow2 image guards: the tables, and for a writable image the refcounts and the ways to change them. */

import type { Geometry } from "../format/geometry.ts";
import type { ClusterAllocator } from "./cluster-allocator.ts";
import type { FreedSpace } from "./freed-space.ts";
import type { ImageFile } from "./image-file.ts";
import type { L1Table } from "./l1-table.ts";
import type { L2Tables } from "./l2-tables.ts";
import type { MetadataMap } from "./metadata-map.ts";
import type { RefcountStore } from "./refcount-store.ts";
import type { References } from "./references.ts";
import type { WriteOut } from "./write-out.ts";

export interface Metadata {
  readonly file: ImageFile;
  readonly geometry: Geometry;
  readonly l1: L1Table;
  readonly l2: L2Tables;
  /** Absent in an image that is open read-only: its refcounts are not even read. */
  readonly writable: WritableMetadata | undefined;
}

export interface WritableMetadata {
  readonly map: MetadataMap;
  readonly freed: FreedSpace;
  readonly refcounts: RefcountStore;
  readonly clusters: ClusterAllocator;
  readonly references: References;
  readonly writeOut: WriteOut;
}
