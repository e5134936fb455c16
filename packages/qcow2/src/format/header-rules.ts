/** Which headers are accepted: every rule is checked before anything is computed or allocated from a number of the header. */

import { BlockError, hex } from "@coblock/core";
import {
  BITMAPS,
  COMPRESSION_TYPE,
  EXTENDED_L2,
  EXTERNAL_DATA_FILE,
  type FeatureName,
  KNOWN_INCOMPATIBLE,
  nameFeatures,
  RAW_EXTERNAL_DATA,
} from "./features.ts";
import { geometryOf, l1EntriesFor } from "./geometry.ts";
import { type Header, V2_HEADER_LENGTH } from "./header.ts";
import type { HeaderExtensions } from "./header-extensions.ts";
import {
  MAX_BITMAP_DIRECTORY_BYTES,
  MAX_BITMAPS,
  MAX_CLUSTER_BITS,
  MAX_L1_BYTES,
  MAX_NAME_BYTES,
  MAX_REFCOUNT_TABLE_BYTES,
  MAX_SNAPSHOT_TABLE_BYTES,
  MAX_SNAPSHOTS,
  MIN_CLUSTER_BITS,
  MIN_EXTENDED_L2_CLUSTER_BITS,
} from "./limits.ts";

/** What the header area may be computed from: cluster bits, lengths. Throws CORRUPT_IMAGE. */
export function checkHeaderFrame(header: Header): void {
  const { clusterBits, headerLength, backingOffset, backingLength } = header;
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS)
    throw corrupt(`the cluster size is 2^${clusterBits} bytes, not 512 bytes to 2 MiB`, 20);
  const clusterSize = 2 ** clusterBits;
  if (header.version === 3 && (headerLength < 104 || headerLength % 8 !== 0))
    throw corrupt(`the header length is ${headerLength}, not a multiple of 8 from 104 on`, 100);
  if (headerLength > clusterSize) throw corrupt(`the header is ${headerLength} bytes long and exceeds the cluster of ${clusterSize}`, 100);
  if (backingOffset === 0) return;
  if (backingOffset > clusterSize)
    throw corrupt(`the name of the backing file is at offset ${hex(backingOffset)}, outside of the first cluster`, 8);
  if (backingLength > Math.min(MAX_NAME_BYTES, clusterSize - backingOffset))
    throw corrupt(`the name of the backing file is ${backingLength} bytes long`, 16);
}

/** Where header extensions lie: [start, end) in bytes of the file. Version 2 has them right after its 72 bytes. */
export function extensionArea(header: Header): { readonly start: number; readonly end: number } {
  const start = header.version === 2 ? V2_HEADER_LENGTH : header.headerLength;
  const end = header.backingOffset === 0 ? 2 ** header.clusterBits : header.backingOffset;
  return { start, end: Math.max(start, end) };
}

/** How strict the rules are. */
export interface HeaderRules {
  /** A check tells of a missing refcount table and of too many snapshots itself, and may repair them. */
  readonly forCheck?: boolean;
}

/** Everything else. Throws UNSUPPORTED_FEATURE for features that are unknown, by name, and CORRUPT_IMAGE for what cannot be. */
export function checkHeader(header: Header, extensions: HeaderExtensions, { forCheck = false }: HeaderRules = {}): void {
  checkFeatures(header, extensions);
  if (header.refcountOrder > 6) throw corrupt(`the refcount width is 2^${header.refcountOrder} bits, more than 64`, 96);
  checkTables(header);
  if (!forCheck) checkCounts(header);
  checkExtensions(header, extensions);
}

function checkFeatures(header: Header, { featureNames = [] }: { readonly featureNames?: readonly FeatureName[] }): void {
  const { incompatible, autoclear, compressionType, clusterBits } = header;
  const unknown = incompatible & ~KNOWN_INCOMPATIBLE;
  if (unknown !== 0n) {
    const names = nameFeatures("incompatible", unknown, featureNames).join(", ");
    throw new BlockError("UNSUPPORTED_FEATURE", `the image needs features that are not supported: ${names}`, { offset: 72 });
  }
  const typed = (incompatible & COMPRESSION_TYPE) !== 0n;
  if (typed !== (compressionType !== 0))
    throw corrupt(`the compression type is ${compressionType}, and the feature bit that goes with it is ${typed ? "set" : "not set"}`, 104);
  if (compressionType > 1)
    throw new BlockError("UNSUPPORTED_FEATURE", `compression type ${compressionType} is not supported`, { offset: 104 });
  if ((incompatible & EXTENDED_L2) !== 0n && clusterBits < MIN_EXTENDED_L2_CLUSTER_BITS) {
    throw corrupt(`extended L2 entries need clusters of at least 16 KiB, these are 2^${clusterBits} bytes`, 20);
  }
  const external = (incompatible & EXTERNAL_DATA_FILE) !== 0n;
  const rawData = (autoclear & RAW_EXTERNAL_DATA) !== 0n;
  if (rawData && !external) throw corrupt("the header says that the data file is raw, but there is no data file", 88);
  if (rawData && header.backingOffset !== 0) throw corrupt("the header names a backing file and says that its data file is raw", 88);
}

function checkTables(header: Header): void {
  const { l1Entries, size, refcountTableClusters, snapshotCount } = header;
  const geometry = geometryOf(header);
  const { clusterSize } = geometry;
  if (header.cryptMethod > 2)
    throw new BlockError("UNSUPPORTED_FEATURE", `encryption method ${header.cryptMethod} is not supported`, { offset: 32 });
  checkTable("L1 table", { offset: header.l1Offset, length: l1Entries * 8, limit: MAX_L1_BYTES, clusterSize }, 40);
  const needed = l1EntriesFor(geometry, size);
  if (needed > l1Entries) throw corrupt(`the L1 table has ${l1Entries} entries, a disk of ${size} bytes needs ${needed}`, 36);
  checkTable(
    "refcount table",
    { offset: header.refcountTableOffset, length: refcountTableClusters * clusterSize, limit: MAX_REFCOUNT_TABLE_BYTES, clusterSize },
    48,
  );
  // Each entry takes at least 40 bytes; how many it does is seen when the table is read.
  const snapshotsLength = Math.min(snapshotCount, MAX_SNAPSHOTS) * 40;
  checkTable(
    "snapshot table",
    { offset: header.snapshotsOffset, length: snapshotsLength, limit: MAX_SNAPSHOT_TABLE_BYTES, clusterSize },
    64,
  );
}

function checkCounts({ refcountTableClusters, snapshotCount }: Header): void {
  if (refcountTableClusters === 0) throw corrupt("there is no refcount table", 56);
  if (snapshotCount > MAX_SNAPSHOTS) throw corrupt(`the header counts ${snapshotCount} snapshots, more than ${MAX_SNAPSHOTS}`, 60);
}

interface HeaderTable {
  readonly offset: number;
  readonly length: number;
  readonly limit: number;
  readonly clusterSize: number;
}

function checkTable(name: string, { offset, length, limit, clusterSize }: HeaderTable, at: number): void {
  if (length > limit) throw corrupt(`the ${name} is ${length} bytes long, more than ${limit}`, at);
  if (offset % clusterSize !== 0)
    throw corrupt(`the ${name} is at offset ${hex(offset)}, which is not aligned to clusters of ${clusterSize}`, at);
  if (!Number.isSafeInteger(offset + length)) throw corrupt(`the ${name} at offset ${hex(offset)} ends beyond 8 PiB`, at);
}

function checkExtensions(header: Header, { bitmaps, encryption }: HeaderExtensions): void {
  const clusterSize = 2 ** header.clusterBits;
  if (header.cryptMethod === 2 && encryption === undefined)
    throw corrupt("the image is encrypted with LUKS, but its header does not say where the keys are", 32);
  if (header.cryptMethod !== 2 && encryption !== undefined)
    throw corrupt("the header says where LUKS keys are, but the image is not encrypted with LUKS", 32);
  if (encryption !== undefined && encryption.offset % clusterSize !== 0)
    throw corrupt(`the LUKS header is at offset ${hex(encryption.offset)}, which is not aligned to clusters`, encryption.offset);
  if (encryption !== undefined && !Number.isSafeInteger(encryption.offset + encryption.length))
    throw corrupt(`the LUKS header at offset ${hex(encryption.offset)} ends beyond 8 PiB`, encryption.offset);
  if ((header.autoclear & BITMAPS) === 0n) return;
  if (bitmaps === undefined) throw corrupt("the header says that there are bitmaps, but not where", 88);
  if (bitmaps.count === 0 || bitmaps.count > MAX_BITMAPS)
    throw corrupt(`the header counts ${bitmaps.count} bitmaps, not 1 to ${MAX_BITMAPS}`, 88);
  checkTable(
    "bitmap directory",
    { offset: bitmaps.directoryOffset, length: bitmaps.directoryLength, limit: MAX_BITMAP_DIRECTORY_BYTES, clusterSize },
    88,
  );
}

function corrupt(message: string, offset: number): BlockError {
  return new BlockError("CORRUPT_IMAGE", message, { offset });
}
