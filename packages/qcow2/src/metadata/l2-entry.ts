/** One L2 entry in its table, checked: what it points to, or CORRUPT_IMAGE with its place and value. */

import { type BlockError, hex } from "@coblock/core";
import {
  type CompressedPlace,
  compressedPlaceOf,
  entryText,
  hasReservedL2Bits,
  isClusterAligned,
  isCompressedOffsetExact,
  isOffsetExact,
  offsetOf,
} from "../format/entries.ts";
import type { Geometry } from "../format/geometry.ts";
import type { ImageFile } from "./image-file.ts";
import type { TableBytes } from "./table-bytes.ts";

/** A slice of an L2 table, and which one it is. Indices of entries count from its beginning. */
export interface L2Place {
  readonly file: ImageFile;
  readonly geometry: Geometry;
  readonly table: TableBytes;
  readonly l1Index: number;
  /** Where the slice lies in the file, bytes. */
  readonly offset: number;
  /** Its first entry, counted from the beginning of the table. */
  readonly firstEntry: number;
}

/** Entries of the slice. */
export function entriesIn({ table, geometry }: L2Place): number {
  return table.bytes.length / geometry.l2EntrySize;
}

/** What is wrong with a plain entry, if anything. */
export function plainProblem({ table, geometry }: L2Place, index: number): string | undefined {
  const word = geometry.extendedL2 ? index * 2 : index;
  const high = table.high(word);
  const low = table.low(word);
  if (hasReservedL2Bits(high, low, geometry.zeroFlag)) return "reserved bits are set";
  if (!isOffsetExact(high)) return "the cluster is past 8 PiB";
  if (!isClusterAligned(low, geometry.clusterSize)) return "the offset is not aligned to clusters";
  return undefined;
}

/** Host offset of a plain entry, 0 where there is none. */
export function hostOffsetAt(place: L2Place, index: number): number {
  const problem = plainProblem(place, index);
  if (problem !== undefined) throw badL2Entry(place, index, problem);
  const { table, geometry } = place;
  const word = geometry.extendedL2 ? index * 2 : index;
  return offsetOf(table.high(word), table.low(word));
}

/** Where the data of a compressed entry lies. */
export function compressedPlaceAt(place: L2Place, index: number): CompressedPlace {
  const { table, geometry } = place;
  const word = geometry.extendedL2 ? index * 2 : index;
  const high = table.high(word);
  if (geometry.externalData) throw badL2Entry(place, index, "a cluster is compressed, which an image with a data file cannot have");
  if (!isCompressedOffsetExact(high, geometry.clusterBits)) throw badL2Entry(place, index, "the compressed cluster is past 8 PiB");
  return compressedPlaceOf(high, table.low(word), geometry.clusterBits);
}

/** The error for entry `index`. */
export function badL2Entry({ file, geometry, table, l1Index, offset, firstEntry }: L2Place, index: number, problem: string): BlockError {
  const word = geometry.extendedL2 ? index * 2 : index;
  const bitmap = geometry.extendedL2 ? ` with subclusters ${entryText(table.high(word + 1), table.low(word + 1))}` : "";
  const value = entryText(table.high(word), table.low(word)) + bitmap;
  const at = offset + word * 8;
  return file.corrupt(`L2 entry ${firstEntry + index} of L1 entry ${l1Index} at offset ${hex(at)} is ${value}: ${problem}`, at);
}
