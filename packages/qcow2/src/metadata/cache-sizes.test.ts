import { expect, test } from "vitest";
import { geometryOf } from "../format/geometry.ts";
import { cacheSizesOf, cleanIntervalMsOf } from "./cache-sizes.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const geometry = geometryOf({ version: 3, clusterBits: 16, refcountOrder: 4, incompatible: 0n });

test.each([
  ["covers the disk, in whole tables", {}, 10 * GIB, [64 * KIB, 20, 4]],
  ["is never smaller than two slices and four blocks", {}, 0, [64 * KIB, 2, 4]],
  ["just covers 256 GiB", {}, 256 * GIB, [64 * KIB, 512, 4]],
  ["is kept in slices where it does not cover the disk", {}, 256 * GIB + 1, [4 * KIB, 8192, 4]],
  ["is no larger than what covers the disk", { l2CacheSize: 100 * MIB }, GIB, [64 * KIB, 2, 4]],
  ["is what was asked for", { l2CacheSize: 100 * MIB, refcountCacheSize: 20 * MIB }, 1024 * GIB, [4 * KIB, 25_600, 320]],
  ["is rounded down to slices and blocks", { l2CacheSize: 300_000, refcountCacheSize: 400_000 }, 1024 * GIB, [4 * KIB, 73, 6]],
  ["is kept in the slices that were asked for", { l2CacheEntrySize: 512 }, GIB, [512, 256, 4]],
  ["leaves the rest to refcounts", { cacheSize: 2 * MIB, l2CacheSize: MIB }, 1024 * GIB, [4 * KIB, 256, 16]],
  ["leaves what does not fit the disk to refcounts", { cacheSize: 2 * MIB, l2CacheSize: MIB }, GIB, [64 * KIB, 2, 30]],
  ["takes what refcounts leave, even beyond the disk", { cacheSize: 2 * MIB, refcountCacheSize: MIB }, GIB, [64 * KIB, 16, 16]],
  ["covers the disk first where both share", { cacheSize: 2 * MIB }, GIB, [64 * KIB, 2, 30]],
  ["leaves refcounts the least where both share too little", { cacheSize: MIB }, 1024 * GIB, [4 * KIB, 192, 4]],
  ["may get nothing, and has the least", { cacheSize: 0 }, GIB, [4 * KIB, 2, 4]],
])("the L2 cache %s", (_, options, diskSize, [sliceSize, sliceCount, blockCount]) => {
  expect(cacheSizesOf(options, geometry, diskSize)).toEqual({ sliceSize, sliceCount, blockCount });
});

test("extended L2 entries take twice as much", () => {
  const extended = geometryOf({ version: 3, clusterBits: 16, refcountOrder: 4, incompatible: 16n });
  expect(cacheSizesOf({}, extended, 10 * GIB)).toMatchObject({ sliceSize: 64 * KIB, sliceCount: 40 });
  expect(cacheSizesOf({}, extended, 129 * GIB)).toMatchObject({ sliceSize: 4 * KIB, sliceCount: 8192 });
});

test.each([
  [{ cacheSize: 1, l2CacheSize: 1, refcountCacheSize: 0 }, /cannot all be given/],
  [{ cacheSize: MIB, l2CacheSize: MIB + 1 }, /l2CacheSize cannot exceed cacheSize: 1048577 bytes of 1048576/],
  [{ cacheSize: MIB, refcountCacheSize: MIB + 1 }, /refcountCacheSize cannot exceed cacheSize/],
  [{ l2CacheEntrySize: 256 }, /l2CacheEntrySize must be a power of two between 512 and the cluster size, which is 65536 bytes, and is 256/],
  [{ l2CacheEntrySize: 1000 }, /must be a power of two/],
  [{ l2CacheEntrySize: 128 * KIB }, /must be a power of two/],
  [{ l2CacheSize: -1 }, /l2CacheSize is a whole number of bytes, not -1/],
  [{ cacheSize: 0.5 }, /cacheSize is a whole number of bytes, not 0.5/],
  [{ refcountCacheSize: 2 ** 31 * 64 * KIB }, /the refcount cache of 140737488355328 bytes would have more than 2147483647 entries/],
])("%j is refused", (options, message) => {
  expect(() => cacheSizesOf(options, geometry, GIB)).toThrow(message);
});

test("text where a number belongs is refused", () => {
  expect(() => cacheSizesOf(JSON.parse('{"cacheSize":"1M"}') as object, geometry, GIB)).toThrow(/not '1M'/);
});

test("the cleaner's interval", () => {
  expect(cleanIntervalMsOf({})).toBe(600_000);
  expect(cleanIntervalMsOf({ cacheCleanInterval: 0 })).toBe(0);
  expect(cleanIntervalMsOf({ cacheCleanInterval: 2 ** 32 - 1 })).toBe(4_294_967_295_000);
  expect(() => cleanIntervalMsOf({ cacheCleanInterval: 2 ** 32 })).toThrow(/at most 4294967295 seconds/);
  expect(() => cleanIntervalMsOf({ cacheCleanInterval: 1.5 })).toThrow(/whole number of seconds/);
});
