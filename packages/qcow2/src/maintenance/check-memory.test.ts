/** A check streams: a disk of 256 GiB with all of its clusters takes the memory of its counts, not of its tables. */

import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { BlockGraph, fileDriver, SystemClock } from "@coblock/core";
import { expect, it } from "vitest";
import { encodeHeader, type Header } from "../format/header.ts";
import { qcow2Driver } from "../index.ts";
import { TemporaryDirectory } from "../test/images.ts";

const MIB = 2 ** 20;
const CLUSTER = 65_536;
const CLUSTERS = 2 ** 22;
const ENTRIES = CLUSTER / 8;
const L2_TABLES = CLUSTERS / ENTRIES;
const COPIED = 2n ** 63n;

const HEADER: Header = {
  version: 3,
  backingOffset: 0,
  backingLength: 0,
  clusterBits: 16,
  size: CLUSTERS * CLUSTER,
  cryptMethod: 0,
  l1Entries: L2_TABLES,
  l1Offset: 2 * CLUSTER,
  refcountTableOffset: CLUSTER,
  refcountTableClusters: 1,
  snapshotCount: 0,
  snapshotsOffset: 0,
  incompatible: 0n,
  compatible: 0n,
  autoclear: 0n,
  refcountOrder: 4,
  headerLength: 112,
  compressionType: 0,
};

/** Header, refcount table, L1 table, refcount blocks, L2 tables, and data that is a hole; answers how long the tables are, in bytes. */
function writeFullImage(path: string): number {
  const blocks = Math.ceil((CLUSTERS + L2_TABLES + 3) / (CLUSTER / 2 - 1));
  const firstL2 = 3 + blocks;
  const firstData = firstL2 + L2_TABLES;
  const total = firstData + CLUSTERS;
  const fd = openSync(path, "w");
  const bytes = Buffer.alloc(CLUSTER);
  const write = (cluster: number): number => writeSync(fd, bytes, 0, CLUSTER, cluster * CLUSTER);
  const writeEntries = (cluster: number, count: number, first: number, flag: bigint): void => {
    bytes.fill(0);
    for (let index = 0; index < count; index++) bytes.writeBigUInt64BE(flag + BigInt((first + index) * CLUSTER), index * 8);
    write(cluster);
  };
  bytes.set(encodeHeader(HEADER));
  write(0);
  writeEntries(1, blocks, 3, 0n);
  writeEntries(2, L2_TABLES, firstL2, COPIED);
  for (let block = 0; block < blocks; block++) {
    const counted = Math.min(CLUSTER / 2, total - (block * CLUSTER) / 2);
    bytes.fill(0);
    for (let index = 0; index < counted; index++) bytes.writeUInt16BE(1, index * 2);
    write(3 + block);
  }
  for (let table = 0; table < L2_TABLES; table++) writeEntries(firstL2 + table, ENTRIES, firstData + table * ENTRIES, COPIED);
  ftruncateSync(fd, total * CLUSTER);
  closeSync(fd);
  return firstData * CLUSTER;
}

/** A check gives others a turn every few megabytes: then it is looked how much memory its bytes take. */
class WatchingClock extends SystemClock {
  looks = 0;
  most = 0;

  override yield(): Promise<void> {
    this.looks++;
    this.most = Math.max(this.most, process.memoryUsage().arrayBuffers);
    return super.yield();
  }
}

it("a disk with 4 million clusters is opened and checked in half the memory that its tables would take", async () => {
  using folder = new TemporaryDirectory();
  const path = folder.file("full");
  const tables = writeFullImage(path);
  const before = process.memoryUsage().arrayBuffers;
  const clock = new WatchingClock();
  await using graph = new BlockGraph({ drivers: [fileDriver, qcow2Driver], clock });
  await using disk = await graph.open({ driver: "qcow2", file: path }, { readOnly: true });
  const result = await disk.check({ repair: "none" });
  expect(result).toMatchObject({ errors: 0, corruptions: 0, leaks: 0, clusters: { total: CLUSTERS, allocated: CLUSTERS } });
  expect(clock.looks).toBeGreaterThan(2);
  expect(tables).toBeGreaterThan(40 * MIB);
  expect(Math.max(clock.most, process.memoryUsage().arrayBuffers) - before).toBeLessThan(tables / 2);
});
