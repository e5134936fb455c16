/** qcow2 images for scenarios: clusters of 512 bytes, so that 100 KiB have several L2 tables and refcount blocks. */

import { type BlockGraph, type NodeOptions, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import type { Lab, LabDisk, Scenario } from "@coblock/testing";
import { withSnapshot } from "./qcow2-snapshot.ts";

export const QCOW2_DRIVERS: Scenario["drivers"] = [qcow2Driver, rawDriver];
export const DISK_FILE = "sim:disk";
/** Bytes. */
export const CLUSTER = 512;
/** Bytes that one L2 table maps with clusters of 512 bytes. */
export const TABLE_SPAN = (CLUSTER / 8) * CLUSTER;

/** Guest bytes that hold something from the beginning; `reserved`: they read as zeros and have space in the file. */
export interface Filled {
  readonly offset: number;
  readonly length: number;
  readonly how?: "data" | "compressed" | "reserved";
}

/** How a qcow2 disk is made and opened. */
export interface Qcow2DiskOptions {
  /** Bytes. Default: what three L2 tables map. */
  readonly size?: number;
  /** Bytes. Default 512. */
  readonly clusterSize?: number;
  /** Default 64: one refcount block counts 64 clusters. */
  readonly refcountBits?: number;
  /** L2 tables that the cache has room for, at least 2. Default: all. */
  readonly cachedTables?: number;
  /** Refcount blocks that the cache has room for, at least 4. Default: all. */
  readonly cachedBlocks?: number;
  /** Seconds from round to round of the cache cleaner. Default 600. */
  readonly cleanInterval?: number;
  readonly filled?: readonly Filled[];
  /** A backing file full of data, that long, bytes. Default 0: none. */
  readonly backing?: number;
  /** An internal snapshot of all that is filled. Needs refcounts of 16 bits. */
  readonly snapshot?: boolean;
  /** With LUKS, under the secret `sec0` of the scenario. */
  readonly encrypted?: boolean;
  /** Refcounts stay behind until the image is closed, which says until then that it is dirty. */
  readonly lazy?: boolean;
  /** Clusters that are discarded keep their place. */
  readonly keepsPlaces?: boolean;
  /** Changes the finished file. */
  readonly damage?: (image: Buffer) => void;
}

const ENCRYPT = { encrypt: { keySecret: "sec0" } } as const;
/** Secrets of scenarios with encrypted images. */
export const QCOW2_SECRETS: NonNullable<Scenario["secrets"]> = { sec0: "open sesame" };
/** The key that is soonest found: small, and derived in the fewest rounds. */
const QUICK_KEY = {
  "encrypt.format": "luks",
  "encrypt.key-secret": "sec0",
  "encrypt.iter-time": 0,
  "encrypt.cipher-alg": "aes-128",
  "encrypt.cipher-mode": "cbc",
} as const;

/** The file is made once for all runs. */
export async function qcow2Disk(lab: Lab, options: Qcow2DiskOptions = {}): Promise<LabDisk> {
  return lab.open("disk", await qcow2File(lab, options));
}

/** Makes the file; answers how it is opened. */
export async function qcow2File(lab: Lab, options: Qcow2DiskOptions): Promise<NodeOptions> {
  const { clusterSize = CLUSTER, cachedTables, cachedBlocks, cleanInterval, backing = 0, snapshot = false } = options;
  const { encrypted, keepsPlaces, damage } = options;
  if (backing > 0) await lab.file("sim:base", async () => fillingOf(0, backing, 0xba));
  await lab.file(DISK_FILE, async () => {
    const plain = await newImage(lab, options);
    const image = Buffer.from(snapshot ? withSnapshot(plain) : plain);
    damage?.(image);
    return image;
  });
  return {
    driver: "qcow2",
    file: DISK_FILE,
    backing: backing > 0 ? { driver: "raw", file: "sim:base" } : null,
    ...(encrypted === true ? ENCRYPT : {}),
    ...(cachedTables === undefined ? {} : { l2CacheSize: cachedTables * clusterSize }),
    ...(cachedBlocks === undefined ? {} : { refcountCacheSize: cachedBlocks * clusterSize }),
    ...(cleanInterval === undefined ? {} : { cacheCleanInterval: cleanInterval }),
    ...(keepsPlaces === undefined ? {} : { discardNoUnref: keepsPlaces }),
  };
}

/** What a filled place holds: no actor writes such bytes. Each 4-byte word says where it belongs. */
function fillingOf(offset: number, length: number, mark: number = 0xee): Uint8Array {
  const words = new Uint32Array(length / 4);
  for (let index = 0; index < words.length; index++) words[index] = mark * 2 ** 24 + offset / 4 + index;
  return new Uint8Array(words.buffer);
}

async function newImage(lab: Lab, options: Qcow2DiskOptions): Promise<Uint8Array> {
  const { clusterSize = CLUSTER, refcountBits = 64, filled = [], lazy = false, encrypted = false } = options;
  const size = options.size ?? (3 * clusterSize * clusterSize) / 8;
  await using graph = lab.newGraph();
  const values = { cluster_size: clusterSize, refcount_bits: refcountBits, lazy_refcounts: lazy, ...(encrypted ? QUICK_KEY : {}) };
  await graph.create({ driver: "qcow2", filename: DISK_FILE, size, values });
  await fill(graph, options, filled);
  await graph[Symbol.asyncDispose]();
  return lab.storage.contentOf(DISK_FILE);
}

async function fill(
  graph: BlockGraph,
  { clusterSize = CLUSTER, encrypted = false }: Qcow2DiskOptions,
  filled: readonly Filled[],
): Promise<void> {
  await using disk = await graph.open({ driver: "qcow2", file: DISK_FILE, backing: null, ...(encrypted ? ENCRYPT : {}) });
  for (const { offset, length, how = "data" } of filled) {
    const bytes = fillingOf(offset, length);
    if (how !== "compressed") await disk.write(offset, bytes);
    else for (let at = 0; at < length; at += clusterSize) await disk.writeCompressed(offset + at, bytes.subarray(at, at + clusterSize));
    if (how === "reserved") await disk.writeZeroes(offset, length, { mayUnmap: false });
  }
}
