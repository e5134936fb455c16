/** What an internal snapshot holds, read from the bytes of the image file as the qcow2 spec has it, without the driver under test. */

import { constants, inflateRawSync } from "node:zlib";

/** Where the header has its fields. */
const AT = { clusterBits: 20, snapshotCount: 60, snapshots: 64 };
const FIXED_BYTES = 40;
const COMPRESSED = 2n ** 62n;
const SECTOR = 512;

/** The whole disk as the snapshot has it; `undefined` where there is none of that name. For images without backing file and extended L2 entries. */
export function contentOfSnapshot(image: Uint8Array, name: string): Uint8Array | undefined {
  const bytes = Buffer.from(image);
  let at = Number(bytes.readBigUInt64BE(AT.snapshots));
  for (let left = bytes.readUInt32BE(AT.snapshotCount); left > 0; left--) {
    const extraLength = bytes.readUInt32BE(at + 36);
    const nameAt = at + FIXED_BYTES + extraLength + bytes.readUInt16BE(at + 12);
    const end = nameAt + bytes.readUInt16BE(at + 14);
    if (bytes.toString("utf8", nameAt, end) === name) return contentOf(bytes, at);
    at = Math.ceil(end / 8) * 8;
  }
  return undefined;
}

/** `entryAt`: where the snapshot's entry lies in the file. */
function contentOf(bytes: Buffer, entryAt: number): Uint8Array {
  const clusterSize = 2 ** bytes.readUInt32BE(AT.clusterBits);
  const content = new Uint8Array(Number(bytes.readBigUInt64BE(entryAt + 48)));
  const l1 = Number(bytes.readBigUInt64BE(entryAt));
  const perTable = clusterSize / 8;
  for (let cluster = 0; cluster * clusterSize < content.length; cluster++) {
    const l2 = offsetIn(bytes.readBigUInt64BE(l1 + Math.floor(cluster / perTable) * 8));
    if (l2 === 0) continue;
    const found = clusterAt(bytes, bytes.readBigUInt64BE(l2 + (cluster % perTable) * 8), clusterSize);
    const at = cluster * clusterSize;
    if (found !== undefined) content.set(found.subarray(0, content.length - at), at);
  }
  return content;
}

function clusterAt(bytes: Buffer, entry: bigint, clusterSize: number): Uint8Array | undefined {
  if (entry % (2n * COMPRESSED) >= COMPRESSED) {
    const offsetBits = BigInt(70 - Math.log2(clusterSize));
    const offset = Number(entry % 2n ** offsetBits);
    const sectors = Number((entry % COMPRESSED) / 2n ** offsetBits) + 1;
    const stored = bytes.subarray(offset, offset - (offset % SECTOR) + sectors * SECTOR);
    return inflateRawSync(stored, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, clusterSize);
  }
  const offset = offsetIn(entry);
  return entry % 2n === 1n || offset === 0 ? undefined : bytes.subarray(offset, offset + clusterSize);
}

function offsetIn(entry: bigint): number {
  return Number((entry % 2n ** 56n) / 512n) * 512;
}
