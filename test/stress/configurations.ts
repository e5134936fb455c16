/** The kinds of qcow2 image that are put under load. */

/** How an image is made, and what may be done to it. */
export interface Configuration {
  readonly name: string;
  /** Words for `-o`. */
  readonly options: string;
  readonly backing?: "raw" | "qcow2";
  /** With LUKS, under the secret `sec0`. */
  readonly encrypted?: boolean;
  /** Bytes. */
  readonly l2CacheSize?: number;
  readonly l2CacheEntrySize?: number;
  /** Seconds. */
  readonly cacheCleanInterval?: number;
  /** It can have internal snapshots. */
  readonly snapshots: boolean;
}

export const CONFIGURATIONS: readonly Configuration[] = [
  { name: "default", options: "", snapshots: true },
  { name: "tiny-clusters", options: "cluster_size=512", snapshots: true, l2CacheSize: 8192 },
  { name: "wide-refcounts", options: "cluster_size=4k,refcount_bits=64", snapshots: true, cacheCleanInterval: 1 },
  { name: "narrow-refcounts", options: "cluster_size=4k,refcount_bits=1", snapshots: false },
  { name: "two-bits", options: "cluster_size=16k,refcount_bits=2", snapshots: true },
  { name: "version-2", options: "compat=0.10,cluster_size=4k", snapshots: true },
  { name: "subclusters", options: "extended_l2=on,cluster_size=16k", snapshots: true, l2CacheEntrySize: 512, l2CacheSize: 16384 },
  {
    name: "encrypted",
    options: "encrypt.format=luks,encrypt.key-secret=sec0,encrypt.iter-time=10,cluster_size=8k",
    encrypted: true,
    backing: "raw",
    snapshots: true,
  },
  { name: "large-clusters", options: "cluster_size=2M", snapshots: true },
  { name: "over-raw", options: "cluster_size=8k", backing: "raw", snapshots: true },
  { name: "over-qcow2", options: "cluster_size=64k,lazy_refcounts=on", backing: "qcow2", snapshots: true },
];
