/** The sizes that follow from a header, and which clusters a table may point to. */

import { alignDown, hex } from "@coblock/core";
import type { QedHeader } from "./header.ts";

/** L1 or L2 entry: no table, or no data, yet. */
export const UNALLOCATED = 0;
/** L2 entry: reads as zeros and hides the backing file. No space belongs to it. */
export const ZERO_CLUSTER = 1;

/** Bytes. With the usual geometry a slice is a table. */
const LARGEST_SLICE = 256 * 1024;

/** All exact: at most 2^53, and powers of two but for the header's length. */
export class Geometry {
  readonly clusterSize: number;
  readonly tableClusters: number;
  readonly l1Offset: number;
  /** Bytes of the header clusters. */
  readonly headerLength: number;
  /** Bytes of one table, L1 or L2. */
  readonly tableLength: number;
  readonly tableEntries: number;
  /** Guest bytes that one L2 table maps. */
  readonly tableSpan: number;
  /** Bytes of a slice of an L2 table: the part that is read and kept at a time, for a table may have a gigabyte. */
  readonly sliceLength: number;
  /** Guest bytes that one slice maps. */
  readonly sliceSpan: number;

  constructor(header: QedHeader) {
    this.clusterSize = header.clusterSize;
    this.tableClusters = header.tableClusters;
    this.l1Offset = header.l1Offset;
    this.headerLength = header.headerClusters * header.clusterSize;
    this.tableLength = header.tableClusters * header.clusterSize;
    this.tableEntries = this.tableLength / 8;
    this.tableSpan = this.tableEntries * header.clusterSize;
    this.sliceLength = Math.min(this.tableLength, LARGEST_SLICE);
    this.sliceSpan = (this.sliceLength / 8) * header.clusterSize;
  }

  /** Where the entry of the guest `offset` is: in the L1 table; in bytes from the start of the L2 table to its slice; in the slice. */
  addressOf(offset: number): { readonly l1Index: number; readonly sliceStart: number; readonly index: number } {
    const sliceStart = Math.floor((offset % this.tableSpan) / this.sliceSpan) * this.sliceLength;
    const index = Math.floor((offset % this.sliceSpan) / this.clusterSize);
    return { l1Index: Math.floor(offset / this.tableSpan), sliceStart, index };
  }

  /** The part of a file of `fileSize` bytes that is whole clusters: one that is there in part is no cluster of it. */
  wholeClusters(fileSize: number): number {
    return alignDown(fileSize, this.clusterSize);
  }

  /**
   * Why `clusters` clusters at `offset` cannot be in a file whose whole clusters end at `fileEnd`; `undefined`: they can.
   * An `offset` above 2^53 may come rounded: it is past the end all the same.
   */
  problemWith(offset: number, clusters: number, fileEnd: number): string | undefined {
    if (Math.floor(offset / this.clusterSize) * this.clusterSize !== offset)
      return `${hex(offset)}, which is not aligned to its clusters of ${this.clusterSize} bytes`;
    if (offset < this.headerLength) return `${hex(offset)}, inside the header`;
    if (offset + clusters * this.clusterSize > fileEnd) return `${hex(offset)}, past the end of the file at ${hex(fileEnd)}`;
    return undefined;
  }
}
