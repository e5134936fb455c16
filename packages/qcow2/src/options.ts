/** What a qcow2 image is opened with. */

import type { NodeOptions, SnapshotSelector } from "@coblock/core";

declare module "@coblock/core" {
  interface DriverOptions {
    qcow2: Qcow2Options;
  }
}

/** What a qcow2 node is opened with. */
export interface Qcow2Options extends CacheOptions, BehaviourOptions {
  readonly file: NodeOptions;
  /** Absent: what the image names. `null`: none, whatever the image names. */
  readonly backing?: NodeOptions | null;
  /** External data file. Absent: what the image names. `null`: none; then the guest's data cannot be read. */
  readonly dataFile?: NodeOptions | null;
  /** How the data of an encrypted image is read. */
  readonly encrypt?: EncryptOptions;
  /** Shows the disk as this internal snapshot has it; read-only. */
  readonly snapshot?: SnapshotSelector;
}

/** QEMU's `encrypt.*`. */
export interface EncryptOptions {
  /** What the image is to be encrypted with: refused where it is not. Absent: whatever it says. */
  readonly format?: "aes" | "luks";
  /** ID of the secret, among those of the graph, that holds the passphrase. Without it an image can be opened read-only, to tell of itself. */
  readonly keySecret?: string;
}

/** What is kept of an image's tables, and for how long: QEMU's options of these names, which `reopen` can change. */
export interface CacheOptions {
  /** Bytes of L2 tables and refcount blocks together. With one of the two below it says the other; not with both. */
  readonly cacheSize?: number | undefined;
  /** Bytes of L2 tables kept in memory. Default 32 MiB, and never more than what covers the disk; at least two slices. */
  readonly l2CacheSize?: number | undefined;
  /** Bytes of L2 table that are loaded and kept as one: a power of two from 512 to the cluster size. Default a cluster; where the cache does not cover the disk at most 4096. */
  readonly l2CacheEntrySize?: number | undefined;
  /** Bytes of refcount blocks kept in memory. Default and least: four blocks. */
  readonly refcountCacheSize?: number | undefined;
  /** Seconds after which tables that nobody used are dropped; 0: never. Default 600. */
  readonly cacheCleanInterval?: number | undefined;
}

/** How a writable image works: QEMU's options of these names, which `reopen` can change. */
export interface BehaviourOptions {
  /** Refcounts go to disk when the image is closed, which until then says that it is dirty; version 3 alone. Default: what the image says of itself. */
  readonly lazyRefcounts?: boolean | undefined;
  /** Which metadata nothing else may be written over; a hit marks the image as corrupt, and fails all later I/O. Default "cached". */
  readonly overlapCheck?: OverlapTemplate | OverlapChecks | undefined;
  /** The host gets back what the guest discards or zeroes. Default: as the option `discard` says. */
  readonly passDiscardRequest?: boolean | undefined;
  /** The host gets back what snapshots give up. Default true. */
  readonly passDiscardSnapshot?: boolean | undefined;
  /** The host gets back what else becomes free: clusters that were copied elsewhere, tables that were replaced. Default false. */
  readonly passDiscardOther?: boolean | undefined;
  /**
   * A cluster that the guest discards, or zeroes with leave to unmap, keeps its place in the file, where it is found again when it is written:
   * the image does not fragment. The host gets the bytes back as `passDiscardRequest` says. Version 3 alone. Default false.
   */
  readonly discardNoUnref?: boolean | undefined;
}

/** "constant": what lies where it lies while the image is open. "cached": also what moves, as far as that costs nothing. "all": also the L2 tables of snapshots. */
export type OverlapTemplate = "none" | "constant" | "cached" | "all";

/** A template, and what is checked otherwise. */
export interface OverlapChecks {
  /** Default "cached". */
  readonly template?: OverlapTemplate;
  readonly mainHeader?: boolean;
  readonly activeL1?: boolean;
  readonly activeL2?: boolean;
  readonly refcountTable?: boolean;
  readonly refcountBlock?: boolean;
  readonly snapshotTable?: boolean;
  readonly inactiveL1?: boolean;
  readonly inactiveL2?: boolean;
  readonly bitmapDirectory?: boolean;
}

export const BEHAVIOUR_OPTION_NAMES: readonly (keyof BehaviourOptions)[] = [
  "lazyRefcounts",
  "overlapCheck",
  "passDiscardRequest",
  "passDiscardSnapshot",
  "passDiscardOther",
  "discardNoUnref",
];

/** Those that can be changed while the image is open. */
export const CACHE_OPTION_NAMES: readonly (keyof CacheOptions)[] = [
  "cacheSize",
  "l2CacheSize",
  "l2CacheEntrySize",
  "refcountCacheSize",
  "cacheCleanInterval",
];

export const OPTION_NAMES: readonly (keyof Qcow2Options)[] = [
  "file",
  "backing",
  "dataFile",
  "encrypt",
  "snapshot",
  ...CACHE_OPTION_NAMES,
  ...BEHAVIOUR_OPTION_NAMES,
];
