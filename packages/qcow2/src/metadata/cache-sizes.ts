/** How large the caches of an image are: from the options, with QEMU's names, rules and defaults. */

import { inspect } from "node:util";
import { BlockError, isPowerOfTwo } from "@coblock/core";
import type { Geometry } from "../format/geometry.ts";
import { MIN_CLUSTER_BITS } from "../format/limits.ts";
import type { CacheOptions } from "../options.ts";
import type { SliceSizes } from "./l2-tables.ts";

/** What is kept of both kinds of tables. */
export interface CacheSizes extends SliceSizes {
  /** Refcount blocks. */
  readonly blockCount: number;
}

const DEFAULT_L2_BYTES = 32 * 1024 * 1024;
/** Of slices, where the cache does not cover the disk: then whole tables would bring in too much that nobody asked for. */
const DEFAULT_SLICE_BYTES = 4096;
const MIN_SLICES = 2;
const MIN_BLOCKS = 4;
const MIN_SLICE_BYTES: number = 2 ** MIN_CLUSTER_BITS;
/** QEMU's limits: counts are signed and intervals unsigned numbers of 32 bits. */
const MAX_COUNT = 2 ** 31 - 1;
const MAX_INTERVAL_SECONDS = 2 ** 32 - 1;
const DEFAULT_INTERVAL_SECONDS = 600;

/** For a disk of `diskSize` bytes. Throws INVALID_OPTION for options that contradict each other or the image. */
export function cacheSizesOf(options: CacheOptions, geometry: Geometry, diskSize: number): CacheSizes {
  for (const name of ["cacheSize", "l2CacheSize", "l2CacheEntrySize", "refcountCacheSize"] as const)
    checkWhole(name, options[name], "bytes");
  const { clusterSize, l2EntrySize } = geometry;
  const coveringBytes = Math.ceil((Math.ceil(diskSize / clusterSize) * l2EntrySize) / clusterSize) * clusterSize;
  const { l2Bytes, blockBytes } = shares(options, coveringBytes, MIN_BLOCKS * clusterSize);
  const sliceSize = options.l2CacheEntrySize ?? (l2Bytes < coveringBytes ? Math.min(clusterSize, DEFAULT_SLICE_BYTES) : clusterSize);
  if (!isPowerOfTwo(sliceSize) || sliceSize < MIN_SLICE_BYTES || sliceSize > clusterSize) {
    const rule = `l2CacheEntrySize must be a power of two between ${MIN_SLICE_BYTES} and the cluster size`;
    throw new BlockError("INVALID_OPTION", `${rule}, which is ${clusterSize} bytes, and is ${sliceSize}`);
  }
  const sliceCount = Math.max(MIN_SLICES, Math.floor(l2Bytes / sliceSize));
  const blockCount = Math.max(MIN_BLOCKS, Math.floor(blockBytes / clusterSize));
  if (sliceCount > MAX_COUNT) throw tooBig("L2 cache", l2Bytes);
  if (blockCount > MAX_COUNT) throw tooBig("refcount cache", blockBytes);
  return { sliceSize, sliceCount, blockCount };
}

/** Milliseconds between two rounds of the cache cleaner; 0: none. Throws INVALID_OPTION. */
export function cleanIntervalMsOf({ cacheCleanInterval = DEFAULT_INTERVAL_SECONDS }: CacheOptions): number {
  checkWhole("cacheCleanInterval", cacheCleanInterval, "seconds");
  if (cacheCleanInterval > MAX_INTERVAL_SECONDS)
    throw new BlockError("INVALID_OPTION", `cacheCleanInterval is at most ${MAX_INTERVAL_SECONDS} seconds, and is ${cacheCleanInterval}`);
  return cacheCleanInterval * 1000;
}

/** What each cache gets. `coveringBytes`: of all L2 tables; more is never kept of them unless the refcount cache's share leaves it. */
function shares(
  { cacheSize, l2CacheSize, refcountCacheSize }: CacheOptions,
  coveringBytes: number,
  minBlockBytes: number,
): { readonly l2Bytes: number; readonly blockBytes: number } {
  const l2Bytes = Math.min(coveringBytes, l2CacheSize ?? DEFAULT_L2_BYTES);
  if (cacheSize === undefined) return { l2Bytes, blockBytes: refcountCacheSize ?? minBlockBytes };
  if (l2CacheSize !== undefined && refcountCacheSize !== undefined)
    throw new BlockError("INVALID_OPTION", "cacheSize, l2CacheSize and refcountCacheSize cannot all be given: two of them say the third");
  if (l2CacheSize !== undefined) {
    refuseMore("l2CacheSize", l2CacheSize, cacheSize);
    return { l2Bytes, blockBytes: cacheSize - l2Bytes };
  }
  if (refcountCacheSize !== undefined) {
    refuseMore("refcountCacheSize", refcountCacheSize, cacheSize);
    return { l2Bytes: cacheSize - refcountCacheSize, blockBytes: refcountCacheSize };
  }
  const blockBytes = Math.max(Math.min(cacheSize, minBlockBytes), cacheSize - coveringBytes);
  return { l2Bytes: cacheSize - blockBytes, blockBytes };
}

function refuseMore(name: string, bytes: number, cacheSize: number): void {
  if (bytes > cacheSize) throw new BlockError("INVALID_OPTION", `${name} cannot exceed cacheSize: ${bytes} bytes of ${cacheSize}`);
}

/** Options that came as JSON may be of any type. */
function checkWhole(name: string, value: unknown, unit: string): void {
  if (value !== undefined && (!Number.isSafeInteger(value) || Number(value) < 0))
    throw new BlockError("INVALID_OPTION", `${name} is a whole number of ${unit}, not ${inspect(value)}`);
}

function tooBig(what: string, bytes: number): BlockError {
  return new BlockError("INVALID_OPTION", `the ${what} of ${bytes} bytes would have more than ${MAX_COUNT} entries`);
}
