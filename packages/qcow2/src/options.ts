/** What a qcow2 image is opened with. */

import type { NodeOptions, SnapshotSelector } from "@coblock/core";

declare module "@coblock/core" {
  interface DriverOptions {
    qcow2: Qcow2Options;
  }
}

/** What a qcow2 node is opened with. */
export interface Qcow2Options {
  readonly file: NodeOptions;
  /** Absent: what the image names. `null`: none, whatever the image names. */
  readonly backing?: NodeOptions | null;
  /** External data file. Absent: what the image names. `null`: none; then the guest's data cannot be read. */
  readonly dataFile?: NodeOptions | null;
  /** Shows the disk as this internal snapshot has it; read-only. */
  readonly snapshot?: SnapshotSelector;
  /** Bytes of L2 tables kept in memory. Default: what covers the disk, at most 32 MiB; never less than 2 tables. */
  readonly l2CacheSize?: number;
  /** Bytes of refcount blocks kept in memory. Default: what covers the disk, at most 8 MiB; never less than 4 blocks. */
  readonly refcountCacheSize?: number;
}

export const OPTION_NAMES: readonly (keyof Qcow2Options)[] = [
  "file",
  "backing",
  "dataFile",
  "snapshot",
  "l2CacheSize",
  "refcountCacheSize",
];
