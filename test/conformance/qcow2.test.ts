import { driverSuite } from "@coblock/testing";
import { describe, it } from "vitest";
import { qcow2Subject, sampled } from "./subjects.ts";

const SUBJECTS = [
  qcow2Subject("qcow2"),
  qcow2Subject("qcow2 with subclusters", { values: { extended_l2: true, cluster_size: 16_384 } }),
  qcow2Subject("qcow2 with a data file", { dataFile: true }),
  qcow2Subject("qcow2, encrypted", { encrypted: true }),
  ...[
    qcow2Subject("qcow2 with the smallest caches", { options: { l2CacheSize: 1, refcountCacheSize: 1 } }),
    qcow2Subject("qcow2 version 2", { values: { compat: "0.10" } }),
    qcow2Subject("qcow2 with lazy refcounts", { values: { lazy_refcounts: true } }),
    qcow2Subject("qcow2 with refcounts of one bit", { values: { refcount_bits: 1 } }),
    qcow2Subject("qcow2 with refcounts of 64 bits", { values: { refcount_bits: 64 } }),
    qcow2Subject("qcow2 with preallocated metadata", { values: { preallocation: "metadata" } }),
    qcow2Subject("qcow2, encrypted, with subclusters and a data file", {
      encrypted: true,
      values: { extended_l2: true, cluster_size: 16_384 },
      dataFile: true,
    }),
    qcow2Subject("qcow2 with large clusters", { values: { cluster_size: 65_536 } }),
    qcow2Subject("qcow2 with large clusters, in small slices and with a busy cleaner", {
      values: { cluster_size: 16_384 },
      options: { l2CacheEntrySize: 512, l2CacheSize: 1, refcountCacheSize: 1, cacheCleanInterval: 1 },
    }),
  ].map(sampled),
];

describe("conformance of qcow2", () => {
  for (const { name, run } of SUBJECTS.flatMap(driverSuite)) it(name, run);
});
