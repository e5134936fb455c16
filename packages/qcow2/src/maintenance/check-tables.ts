/** Walks an L1 table with its L2 tables and counts what they own. */

import { compressedPlaceOf, COPIED_HIGH, hasReservedL1Bits, isCopied, l2KindOf, offsetOf, ZERO_LOW } from "../format/entries.ts";
import type { Geometry } from "../format/geometry.ts";
import { TWO_32, viewOf } from "../format/words.ts";
import type { CheckFile } from "./check-file.ts";
import type { CheckLog } from "./check-log.ts";
import type { ReferenceCounts } from "./reference-counts.ts";

/** How the guest's clusters lie, in the words of qemu-img. */
export interface Fragmentation {
  allocated: number;
  fragmented: number;
  compressed: number;
}

const L1_CHUNK = 64 * 1024;

/** Counts what tables own; keeps one L2 table in memory. */
export class TableWalk {
  readonly #file: CheckFile;
  readonly #counts: ReferenceCounts;
  readonly #log: CheckLog;
  readonly #l2: DataView;
  readonly #mended: ReadonlySet<number>;
  /** Some entry of a plain cluster or table does not say that it is the only owner. */
  sharing = false;
  /** Offsets of L2 tables with entries that read as zeros and lead into the middle of a cluster: these can be mended. */
  readonly mendable: Set<number> = new Set();

  /** `mended`: L2 tables whose mendable entries are taken for plain zeros, as they are or will be. */
  constructor(file: CheckFile, counts: ReferenceCounts, log: CheckLog, mended: ReadonlySet<number>) {
    this.#file = file;
    this.#counts = counts;
    this.#log = log;
    this.#mended = mended;
    this.#l2 = new DataView(new ArrayBuffer(file.geometry.clusterSize));
  }

  /** Counts the table at `offset`, its L2 tables and their clusters; with `fragmentation` for the active table. */
  async l1(offset: number, entries: number, fragmentation?: Fragmentation): Promise<void> {
    this.#counts.add(offset, entries * 8);
    const bytes = new Uint8Array(Math.min(L1_CHUNK, entries * 8));
    for (let first = 0; first < entries; first += L1_CHUNK / 8) {
      const chunk = bytes.subarray(0, Math.min(bytes.length, (entries - first) * 8));
      if (!this.#file.holds(offset + first * 8)) return;
      await this.#file.read(offset + first * 8, chunk);
      const view = viewOf(chunk);
      for (let at = 0; at < chunk.length; at += 8)
        await this.#l1Entry(view.getUint32(at), view.getUint32(at + 4), offset + first * 8 + at, fragmentation);
    }
  }

  #l1Entry(high: number, low: number, at: number, fragmentation: Fragmentation | undefined): Promise<void> | undefined {
    if (high === 0 && low === 0) return undefined;
    return this.#l2Table(high, low, at, fragmentation);
  }

  async #l2Table(high: number, low: number, at: number, fragmentation: Fragmentation | undefined): Promise<void> {
    const offset = offsetOf(high, low);
    if (hasReservedL1Bits(high, low))
      this.#log.damaged(`ERROR found L1 entry with reserved bits set: ${hexOf(high, low)}`, at, "reservedBits");
    this.#counts.add(offset, this.#file.geometry.clusterSize, () => offsetHex(high, low));
    if (offset % this.#file.geometry.clusterSize !== 0)
      this.#log.damaged(`ERROR l2_offset=${offsetHex(high, low)}: Table is not cluster aligned; L1 entry corrupted`, at, "unaligned");
    if (!isCopied(high)) this.sharing = true;
    if (!this.#file.holds(offset)) return;
    await this.#file.read(offset, new Uint8Array(this.#l2.buffer));
    this.#l2Entries(offset, fragmentation ?? { allocated: 0, fragmented: 0, compressed: 0 });
  }

  #l2Entries(tableOffset: number, fragmentation: Fragmentation): void {
    const { clusterSize, l2EntrySize, extendedL2, externalData } = this.#file.geometry;
    const view = this.#l2;
    const counts = this.#counts;
    const plain = !extendedL2 && !externalData;
    let allocated = 0;
    let next = 0;
    for (let at = 0; at < clusterSize;) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      if (plain && high === 0 && low === 0) {
        at += l2EntrySize;
        continue;
      }
      // Nearly all entries of nearly all images: clusters of data with one owner, in a row.
      const row = plain && high >>> 24 === 0x80 && low % clusterSize === 0 ? rowLength(view, at, clusterSize) : 0;
      const offset = (high & 0x00ff_ffff) * TWO_32 + low;
      const counted = counts.addRow(offset, row);
      if (counted > 0) {
        allocated += counted;
        if (next !== 0 && offset !== next) fragmentation.fragmented++;
        next = offset + counted * clusterSize;
      }
      const end = at + Math.max(row, 1) * l2EntrySize;
      for (at += counted * l2EntrySize; at < end; at += l2EntrySize) next = this.#entry(at, tableOffset, next, fragmentation);
    }
    fragmentation.allocated += allocated;
  }

  /** Any entry. Takes and gives the offset at which the next cluster would lie in a row. */
  #entry(at: number, tableOffset: number, next: number, fragmentation: Fragmentation): number {
    const { clusterSize, l2EntrySize, extendedL2, externalData } = this.#file.geometry;
    const high = this.#l2.getUint32(at);
    const low = this.#l2.getUint32(at + 4);
    const kind = l2KindOf(high, low, !extendedL2, externalData);
    if (this.#mended.has(tableOffset) && isMendable(this.#file.geometry, this.#l2, at)) return next;
    if (kind === "compressed") {
      this.#compressed(this.#l2, at, at / l2EntrySize, tableOffset, fragmentation);
      return next;
    }
    if ((high & 0x3f00_0000) !== 0 || (low & 0x1fe) !== 0)
      this.#log.damaged(`ERROR found l2 entry with reserved bits set: ${hexOf(high, low)}`, tableOffset + at, "reservedBits");
    if (kind !== "data" && kind !== "reserved") {
      if (extendedL2 && this.#l2.getUint32(at + 12) !== 0)
        this.#log.damaged("ERROR: Unallocated cluster has non-zero subcluster allocation map", tableOffset + at, "subclusters");
      return next;
    }
    const offset = offsetOf(high, low);
    if (extendedL2 || offset % clusterSize !== 0) this.#lookCloser(this.#l2, at, offset, tableOffset);
    fragmentation.allocated++;
    if (next !== 0 && offset !== next) fragmentation.fragmented++;
    if (!isCopied(high)) this.sharing = true;
    if (!externalData) this.#counts.add(offset, clusterSize, () => offsetHex(high, low));
    return offset + clusterSize;
  }

  #compressed(view: DataView, at: number, index: number, tableOffset: number, fragmentation: Fragmentation): void {
    const { clusterBits, extendedL2, externalData } = this.#file.geometry;
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    const offset = (): string => compressedHex(high, low, clusterBits);
    if (isCopied(high))
      this.#log.damaged(
        `ERROR: coffset=0x${offset()}: copied flag must never be set for compressed clusters`,
        tableOffset + at,
        "compressedFlag",
      );
    const entry = hexOf(high % COPIED_HIGH, low);
    if (externalData)
      return this.#log.damaged(`ERROR compressed cluster ${index} with data file, entry=0x${entry}`, tableOffset + at, "compressedPlace");
    if (extendedL2 && (view.getUint32(at + 8) !== 0 || view.getUint32(at + 12) !== 0)) {
      return this.#log.damaged(
        `ERROR compressed cluster ${index} with non-zero subcluster allocation bitmap, entry=0x${entry}`,
        tableOffset + at,
        "subclusters",
      );
    }
    const place = compressedPlaceOf(high, low, clusterBits);
    this.#counts.add(place.offset, place.length, offset);
    fragmentation.allocated++;
    fragmentation.compressed++;
    fragmentation.fragmented++;
  }

  /** At an entry with a host cluster that is not plainly right. */
  #lookCloser(view: DataView, at: number, offset: number, tableOffset: number): void {
    const { extendedL2, clusterSize, version } = this.#file.geometry;
    const place = tableOffset + at;
    const text = `ERROR offset=${offsetHex(view.getUint32(at), view.getUint32(at + 4))}:`;
    if (extendedL2 && (view.getUint32(at + 8) & view.getUint32(at + 12)) !== 0)
      this.#log.damaged(`${text} Allocated cluster has corrupted subcluster allocation bitmap`, place, "subclusters");
    if (offset % clusterSize === 0) return;
    if (!isMendable(this.#file.geometry, view, at))
      return this.#log.damaged(`${text} Data cluster is not properly aligned; L2 entry corrupted.`, place, "unaligned");
    this.#log.damaged(`${text} Preallocated cluster is not properly aligned; L2 entry corrupted.`, place, "unalignedReserved");
    // Version 2 has no entry that reads as zeros and keeps no space.
    if (version === 3) this.mendable.add(tableOffset);
  }
}

/** Entries from `at` on whose clusters lie in a row, with the same flags; short of where the low half of the offset overflows. */
function rowLength(l2: DataView, at: number, clusterSize: number): number {
  const high = l2.getUint32(at);
  const low = l2.getUint32(at + 4);
  const end = Math.min(l2.byteLength, at + ((TWO_32 - low) / clusterSize) * 8);
  let next = at + 8;
  for (let expected = low + clusterSize; next < end; next += 8, expected += clusterSize)
    if (l2.getUint32(next + 4) !== expected || l2.getUint32(next) !== high) break;
  return (next - at) / 8;
}

/** Whether an entry keeps space in the middle of a cluster, and shows no byte of it. */
export function isMendable({ clusterSize, extendedL2, externalData }: Geometry, l2: DataView, at: number): boolean {
  const high = l2.getUint32(at);
  const low = l2.getUint32(at + 4);
  const kind = l2KindOf(high, low, !extendedL2, externalData);
  if ((kind !== "data" && kind !== "reserved") || offsetOf(high, low) % clusterSize === 0) return false;
  return extendedL2 ? l2.getUint32(at + 12) === 0 : low % 2 === ZERO_LOW;
}

/** An entry as qemu-img prints it. */
export function hexOf(high: number, low: number): string {
  return (BigInt(high) * BigInt(TWO_32) + BigInt(low)).toString(16);
}

/** Bits 9 to 55, exact. */
export function offsetHex(high: number, low: number): string {
  return ((BigInt(high) * BigInt(TWO_32) + BigInt(low)) & 0x00ff_ffff_ffff_fe00n).toString(16);
}

function compressedHex(high: number, low: number, clusterBits: number): string {
  return ((BigInt(high) * BigInt(TWO_32) + BigInt(low)) & ((1n << BigInt(70 - clusterBits)) - 1n)).toString(16);
}
