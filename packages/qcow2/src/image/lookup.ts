/** Guest bytes to host bytes: the synchronous look-up in L1 and L2 that every read and write begins with. */

import { hex, type BlockChild, type BlockError, type Intent, type Mapping, type Transform, type Wait } from "@coblock/core";
import { isCopied, l2KindOf, offsetOf } from "../format/entries.ts";
import type { Geometry } from "../format/geometry.ts";
import { compressedPlaceAt, hostOffsetAt, type L2Place } from "../metadata/l2-entry.ts";
import type { Metadata } from "../metadata/metadata.ts";
import type { ClusterCodec } from "./cluster-codec.ts";
import { describeSubclusters } from "./subclusters.ts";

export interface LookupParts {
  readonly geometry: Geometry;
  /** Holds the guest's clusters: the image file, or the data file. */
  readonly data: BlockChild;
  readonly codec: ClusterCodec;
  /** Set where the guest's bytes cannot be understood. */
  readonly unreadable: BlockError | undefined;
  /** The image is encrypted. */
  readonly transform: Transform | undefined;
}

/** What is asked of one slice of an L2 table. */
export interface TableQuery extends L2Place {
  readonly data: BlockChild;
  readonly codec: ClusterCodec;
  readonly transform: Transform | undefined;
  /** Entry of the first cluster. */
  readonly index: number;
  /** Bytes of the first cluster that are not asked for. */
  readonly skip: number;
  /** Bytes, within the slice. */
  readonly length: number;
}

/**
 * Joins equal neighbours up to the end of the slice of the L2 table, and of ranges without one. Throws CORRUPT_IMAGE for entries that cannot be;
 * "write" also makes sure that no data is written over metadata.
 */
export function lookup(metadata: Metadata, parts: LookupParts, offset: number, length: number, intent: Intent): Mapping | Wait {
  const { geometry, data, codec, transform } = parts;
  const { l1, file } = metadata;
  if (parts.unreadable !== undefined) throw parts.unreadable;
  const l1Index = Math.floor(offset / geometry.l2Coverage);
  const inTable = offset - l1Index * geometry.l2Coverage;
  const l2Offset = l1.l2Offset(l1Index);
  if (l2Offset === 0) {
    const empty = l1.countEmpty(l1Index, Math.ceil((inTable + length) / geometry.l2Coverage));
    return { kind: "unallocated", length: Math.min(length, empty * geometry.l2Coverage - inTable) };
  }
  const entry = Math.floor(inTable / geometry.clusterSize);
  const slice = metadata.l2.get(l2Offset, entry, intent);
  if (slice.kind === "wait") return slice;
  const { sliceEntries } = metadata.l2;
  const index = entry % sliceEntries;
  const skip = inTable - entry * geometry.clusterSize;
  const query = {
    file,
    geometry,
    table: slice.table,
    l1Index,
    offset: slice.offset,
    firstEntry: entry - index,
    data,
    codec,
    transform,
    index,
    skip,
    length: Math.min(length, (sliceEntries - index) * geometry.clusterSize - skip),
  };
  const mapping = geometry.extendedL2 ? describeSubclusters(query) : describeClusters(query);
  return intent === "write" && mapping.kind === "data" && mapping.writable ? keptOffMetadata(metadata, mapping) : mapping;
}

function describeClusters(query: TableQuery): Mapping {
  const { geometry, table, index, skip, data, transform } = query;
  const high = table.high(index);
  const low = table.low(index);
  const kind = l2KindOf(high, low, geometry.zeroFlag, geometry.externalData);
  if (kind === "compressed") return describeCompressed(query);
  const host = hostOffsetAt(query, index);
  if (kind === "unallocated" || kind === "zero") return { kind, length: sameRun(query, high, low) };
  const length = rowRun(query, high, low);
  const childOffset = host + skip;
  return kind === "data"
    ? { kind, length, child: data, childOffset, writable: isCopied(high), transform }
    : { kind: "zero", length, reserved: transform === undefined ? { child: data, childOffset } : undefined };
}

/** Bytes up to the first entry that differs. */
function sameRun({ table, index, skip, length, geometry: { clusterSize } }: TableQuery, high: number, low: number): number {
  let covered = clusterSize - skip;
  for (let next = index + 1; covered < length && table.low(next) === low && table.high(next) === high; next++) covered += clusterSize;
  return Math.min(covered, length);
}

/** Bytes up to the first entry that is not the next cluster in the file with the same flags. */
function rowRun({ table, index, skip, length, geometry: { clusterSize } }: TableQuery, high: number, low: number): number {
  let covered = clusterSize - skip;
  if (covered >= length) return length;
  const flags = flagsOf(high, low);
  const host = offsetOf(high, low);
  for (let next = index + 1; covered < length; next++) {
    const nextHigh = table.high(next);
    const nextLow = table.low(next);
    if (offsetOf(nextHigh, nextLow) !== host + skip + covered || flagsOf(nextHigh, nextLow) !== flags) break;
    covered += clusterSize;
  }
  return Math.min(covered, length);
}

/** Bits 56–63 and 0–8. */
function flagsOf(high: number, low: number): number {
  return (high >>> 24) * 512 + (low & 0x1ff);
}

/** One cluster. */
export function describeCompressed(query: TableQuery): Mapping {
  const { geometry, index, skip, length, data, codec } = query;
  const { clusterSize } = geometry;
  const { offset, length: storedLength } = compressedPlaceAt(query, index);
  return {
    kind: "encoded",
    length: Math.min(length, clusterSize - skip),
    stored: { child: data, childOffset: offset, length: storedLength },
    unitLength: clusterSize,
    skip,
    decode: (stored, unit) => codec.decode(stored, unit, offset),
  };
}

/** A write in place goes to guest data, whatever the L2 table says. */
function keptOffMetadata({ writable, file, geometry }: Metadata, mapping: Extract<Mapping, { kind: "data" }>): Mapping | Wait {
  if (writable === undefined || geometry.externalData) return mapping;
  const kind = writable.map.find(mapping.childOffset, mapping.length);
  if (kind === undefined) return mapping;
  const message = `a guest cluster is mapped to offset ${hex(mapping.childOffset)} for ${mapping.length} bytes, over the ${kind}; the write is refused`;
  return { kind: "wait", until: file.failDamaged(file.corrupt(message, mapping.childOffset)) };
}
