/** An internal snapshot put into a finished image, byte by byte as the qcow2 spec has it; and whether all that it holds is as it was. */

import { RunFailure } from "@coblock/testing";

/** Where the header has its fields. */
const AT = { clusterBits: 20, l1Entries: 36, l1: 40, refcountTable: 48, snapshotCount: 60, snapshots: 64, refcountOrder: 96 };
const COPIED = 2n ** 63n;
const COMPRESSED = 2n ** 62n;
const ONE_REFERENCE = 1;
/** With refcounts of 16 bits. */
const REFCOUNT_BYTES = 2;

/** The tables of an image; all numbers are bytes. */
class ImageTables {
  readonly bytes: Buffer;
  readonly clusterSize: number;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.clusterSize = 2 ** bytes.readUInt32BE(AT.clusterBits);
    if (bytes.readUInt32BE(AT.refcountOrder) !== 4) throw new Error("only images with refcounts of 16 bits can be given a snapshot");
  }

  /** What the active L1 table points to, or that of the snapshot. */
  l2Tables(l1: number): readonly number[] {
    return Array.from({ length: this.bytes.readUInt32BE(AT.l1Entries) }, (_, index) => this.offsetAt(l1 + index * 8)).filter(
      (offset) => offset > 0,
    );
  }

  /** Clusters that the entries of an L2 table use, one for each use. */
  clustersOf(l2: number): readonly number[] {
    const clusters: number[] = [];
    for (let at = l2; at < l2 + this.clusterSize; at += 8) {
      const entry = this.bytes.readBigUInt64BE(at);
      if (entry % COPIED >= COMPRESSED) clusters.push(...this.#compressedClusters(entry));
      else if (this.offsetAt(at) > 0) clusters.push(this.offsetAt(at));
    }
    return clusters;
  }

  /** The offset in an entry, 0 where there is none. */
  offsetAt(at: number): number {
    return Number((this.bytes.readBigUInt64BE(at) % 2n ** 56n) / 512n) * 512;
  }

  share(at: number): void {
    const entry = this.bytes.readBigUInt64BE(at);
    this.bytes.writeBigUInt64BE(entry % COPIED, at);
  }

  reference(cluster: number): void {
    const number = cluster / this.clusterSize;
    const perBlock = this.clusterSize / REFCOUNT_BYTES;
    const block = this.offsetAt(this.bytes.readUIntBE(AT.refcountTable + 2, 6) + Math.floor(number / perBlock) * 8);
    if (block === 0) throw new Error(`no refcount block counts the cluster at ${cluster}`);
    const at = block + (number % perBlock) * REFCOUNT_BYTES;
    this.bytes.writeUInt16BE(this.bytes.readUInt16BE(at) + ONE_REFERENCE, at);
  }

  #compressedClusters(entry: bigint): readonly number[] {
    const offsetBits = BigInt(62 - (Math.log2(this.clusterSize) - 8));
    const offset = Number(entry % 2n ** offsetBits);
    const sectors = Number((entry % COMPRESSED) / 2n ** offsetBits);
    const end = Math.floor(offset / 512) * 512 + (sectors + 1) * 512;
    const first = Math.floor(offset / this.clusterSize) * this.clusterSize;
    return Array.from({ length: Math.ceil((end - first) / this.clusterSize) }, (_, index) => first + index * this.clusterSize);
  }
}

/** The image with one snapshot, which shares all clusters and L2 tables with the disk. */
export function withSnapshot(image: Uint8Array): Uint8Array {
  const clusterSize = 2 ** Buffer.from(image).readUInt32BE(AT.clusterBits);
  const l1Copy = Math.ceil(image.length / clusterSize) * clusterSize;
  const table = l1Copy + clusterSize;
  const bytes = Buffer.alloc(table + clusterSize);
  bytes.set(image);
  const tables = new ImageTables(bytes);
  const l1 = tables.offsetAt(AT.l1);
  const l1Entries = bytes.readUInt32BE(AT.l1Entries);
  for (const l2 of tables.l2Tables(l1)) {
    for (const cluster of [l2, ...tables.clustersOf(l2)]) tables.reference(cluster);
    for (let at = l2; at < l2 + clusterSize; at += 8) tables.share(at);
  }
  for (let index = 0; index < l1Entries; index++) tables.share(l1 + index * 8);
  bytes.copy(bytes, l1Copy, l1, l1 + l1Entries * 8);
  bytes.writeBigUInt64BE(BigInt(l1Copy), table);
  bytes.writeUInt32BE(l1Entries, table + 8);
  bytes.writeUInt16BE(1, table + 12);
  bytes.writeUInt16BE(6, table + 14);
  bytes.writeUInt32BE(16, table + 36);
  bytes.writeBigUInt64BE(bytes.readBigUInt64BE(24), table + 48);
  bytes.write("1before", table + 56, "latin1");
  tables.reference(l1Copy);
  tables.reference(table);
  bytes.writeUInt32BE(1, AT.snapshotCount);
  bytes.writeBigUInt64BE(BigInt(table), AT.snapshots);
  return bytes;
}

/** Throws where a byte of the snapshot's tables or data is not as it was in `before`. */
export function expectSnapshotKept(before: Uint8Array, after: Uint8Array): void {
  const tables = new ImageTables(Buffer.from(before));
  const snapshots = tables.offsetAt(AT.snapshots);
  const l1 = tables.offsetAt(snapshots);
  const frozen = [snapshots, l1, ...tables.l2Tables(l1).flatMap((l2) => [l2, ...tables.clustersOf(l2)])];
  for (const cluster of frozen) {
    const end = cluster + tables.clusterSize;
    if (Buffer.compare(before.subarray(cluster, end), after.subarray(cluster, end)) !== 0)
      throw new RunFailure(
        "wrong",
        `the cluster at offset 0x${cluster.toString(16)} of the image file belongs to the snapshot, and was changed`,
      );
  }
}
