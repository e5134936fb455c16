/** What the conformance suite is told of a driver. */

import type { BlockGraph, DescribedNode, DriverEntry, Secrets } from "@coblock/core";

/** Named files in memory that a case has made for itself. */
export interface SiteStorage {
  /** Makes a file, or replaces it. */
  put(name: string, content: Uint8Array): void;
  /** A copy of a file's bytes now. */
  contentOf(name: string): Uint8Array;
}

/** Where one case makes its image. */
export interface Site {
  /** Has the subject's drivers and the driver of `storage`. */
  readonly graph: BlockGraph;
  readonly storage: SiteStorage;
  /** Virtual size in bytes of the image to make. */
  readonly size: number;
  /** A number that no other site has: for names outside of `storage`. */
  readonly serial: number;
  /** What the disk shall hold when it is opened; absent: zeros. Given to subjects that cannot write, or keep nothing. */
  readonly content?: Uint8Array;
  /** The backing file to open the image with. */
  readonly backing?: DescribedNode;
  /** A file name in `storage`, with the prefix of its protocol: "test:image", "test:image.part". */
  fileName(part?: string): string;
}

/** What a discarded range reads as; `anything` where the host decides. */
export type DiscardReads = "zero" | "same" | "zero or same" | "anything";

/** A driver with the options that it is tested with. Cases for what it does not have are left out. */
export interface DriverSubject {
  /** Comes first in the names of the cases. */
  readonly name: string;
  /** What the graph needs besides the driver `test`. */
  readonly drivers: readonly DriverEntry[];
  /** Passphrases and keys by their IDs, for images that are encrypted. Default: none. */
  readonly secrets?: Secrets;
  /** Bytes: a few clusters and, where that is possible, tables; best no multiple of a cluster. */
  readonly diskSize: number;
  /** Where behaviour changes: bytes of a cluster or block. */
  readonly clusterSize: number;
  /** Sizes are multiples of it, bytes. Default 1. */
  readonly sizeUnit?: number;
  /** Makes the image. */
  create(site: Site): Promise<void>;
  /** How it is opened; for a filter that writes where it is read from, `readOnly` may stand for what is below it. */
  describe(site: Site, readOnly?: boolean): DescribedNode;
  /** Removes what is left outside of the test storage. */
  remove?(site: Site): Promise<void>;
  /** Default true. A subject that cannot write makes its image with `site.content`. */
  readonly writable?: boolean;
  /** What was written can be read. Default true. */
  readonly stores?: boolean;
  /** It is there after closing and opening. Default true. */
  readonly persistent?: boolean;
  /** All its bytes are in `site.storage`, so that these can fail, come late, and be cut off. Default true. */
  readonly overTestStorage?: boolean;
  /** A sector of the disk may be parts of two sectors of its storage, so that a power cut can tear it. Default false. */
  readonly tearsSectors?: boolean;
  /** Takes `site.backing`. Default false. */
  readonly backing?: boolean;
  /** Default false. */
  readonly compresses?: boolean;
  /** Opening takes long, as where keys are derived: the lab, which opens it again and again, tries less. Default false. */
  readonly opensSlowly?: boolean;
  /**
   * Another subject is much like it: where the suite tries every moment or many orders, it tries a third of them here. Which moments these
   * are depends on the name, so that several such subjects meet all of them. Default false.
   */
  readonly sampled?: boolean;
  /** "to anything": new bytes are not zeros, and the driver has tests of its own. Default "none". */
  readonly resizes?: "none" | "to anything" | "grow" | "grow and shrink";
  /** Default "zero or same". */
  readonly discardReads?: DiscardReads;
}
