/** qcow2 read in the plainest way, from the specification and without the package: what every byte of the active disk must be. */

import { constants, inflateRawSync } from "node:zlib";
import type { SparseBytes } from "./sparse-bytes.ts";

const MASK_OFFSET = 0x00ff_ffff_ffff_fe00n;
const EXACT = 2n ** 53n;
const SUBCLUSTERS = 32;

/** Where a piece of the disk is: an offset in the file, or not in it. */
type Place =
  | { readonly kind: "data"; readonly offset: number }
  | { readonly kind: "compressed"; readonly offset: number; readonly length: number }
  | { readonly kind: "zero" | "unallocated" | "corrupt" };

/** A file that is a qcow2 image by every rule of its header. */
export class Qcow2Reference {
  /** Bytes, whole sectors. */
  readonly size: number;
  readonly clusterSize: number;
  /** It has parts that are not looked at here and may break rules of their own: snapshots, bitmaps, other extensions. */
  readonly hasMore: boolean;
  /** Its bytes are elsewhere, or encrypted. */
  readonly isOpaque: boolean;
  readonly incompatible: bigint;
  readonly #file: SparseBytes;
  readonly #backing: SparseBytes | undefined;
  readonly #zeroFlag: boolean;
  readonly #extended: boolean;
  readonly #l1Offset: number;
  readonly #l1Entries: number;

  /** Throws where the header breaks a rule. */
  constructor(file: SparseBytes, backing?: SparseBytes) {
    const bytes = Buffer.alloc(112);
    file.read(0, bytes.subarray(0, Math.min(112, file.size)));
    const rule = (holds: boolean, what: string): void => {
      if (!holds) throw new RangeError(what);
    };
    const [u32, u64] = [(at: number) => bytes.readUInt32BE(at), (at: number) => bytes.readBigUInt64BE(at)];
    const version = u32(4);
    rule(file.size >= 72 && u32(0) === 0x514649fb && (version === 2 || (version === 3 && file.size >= 104)), "magic and version");
    const bits = u32(20);
    rule(bits >= 9 && bits <= 21, "cluster_bits");
    const clusterSize = 2 ** bits;
    const headerLength = version === 2 ? 72 : u32(100);
    rule(version === 2 || (headerLength >= 104 && headerLength % 8 === 0 && headerLength <= clusterSize), "header_length");
    const named = u64(8) !== 0n;
    rule(u64(8) <= BigInt(clusterSize), "backing_file_offset");
    rule(!named || u32(16) <= Math.min(1023, clusterSize - Number(u64(8))), "backing_file_size");
    const [incompatible, autoclear, order] = version === 2 ? [0n, 0n, 4] : [u64(72), u64(88), u32(96)];
    const compression = version === 3 && headerLength > 104 && file.size > 104 ? bytes.readUInt8(104) : 0;
    rule(incompatible < 32n, "incompatible_features");
    rule(compression <= 1 && (compression !== 0) === ((incompatible & 8n) !== 0n), "compression_type");
    this.#extended = (incompatible & 16n) !== 0n;
    rule(!this.#extended || bits >= 14, "cluster_bits with extended L2 entries");
    const external = (incompatible & 4n) !== 0n;
    rule((autoclear & 2n) === 0n || (external && !named), "raw external data");
    rule(u32(32) <= 2, "crypt_method");
    rule(order <= 6, "refcount_order");
    const entries = clusterSize / (this.#extended ? 16 : 8);
    const aligned = (offset: bigint, length: number): boolean => offset % BigInt(clusterSize) === 0n && offset + BigInt(length) < EXACT;
    rule(u64(24) < EXACT, "size");
    rule(u32(36) <= 2 ** 22 && aligned(u64(40), u32(36) * 8), "l1_table_offset");
    rule(u32(36) >= Math.ceil(Number(u64(24)) / (clusterSize * entries)), "l1_size");
    rule(Number(u64(40)) + u32(36) * 8 <= file.size || u32(36) === 0, "l1_table_offset past the end");
    rule(u32(56) >= 1 && u32(56) * clusterSize <= 2 ** 23 && aligned(u64(48), u32(56) * clusterSize), "refcount_table_offset");
    rule(u32(60) <= 65536 && aligned(u64(64), u32(60) * 40), "snapshots_offset");
    [this.clusterSize, this.incompatible, this.#file, this.#backing] = [clusterSize, incompatible, file, backing];
    this.size = Number(u64(24) - (u64(24) % 512n));
    this.#zeroFlag = version === 3 && !this.#extended;
    [this.#l1Offset, this.#l1Entries] = [Number(u64(40)), u32(36)];
    this.isOpaque = external || u32(32) !== 0 || compression !== 0;
    this.hasMore =
      this.isOpaque || u32(60) > 0 || (autoclear & 1n) !== 0n || !this.#hasPlainExtensions(headerLength, named ? Number(u64(8)) : 0);
  }

  /** Answers `undefined` where one of the bytes cannot be had. */
  read(offset: number, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    const unit = this.#extended ? this.clusterSize / SUBCLUSTERS : this.clusterSize;
    for (let done = 0; done < length;) {
      const at = offset + done;
      const part = Math.min(unit - (at % unit), length - done);
      if (!this.#readPart(at, bytes.subarray(done, done + part))) return undefined;
      done += part;
    }
    return bytes;
  }

  #readPart(offset: number, into: Uint8Array): boolean {
    const place = this.#placeOf(offset);
    const inCluster = offset % this.clusterSize;
    switch (place.kind) {
      case "corrupt":
        return false;
      case "zero":
        return true;
      case "unallocated":
        this.#backing?.read(offset, into.subarray(0, Math.max(0, Math.min(into.length, this.#backing.size - offset))));
        return true;
      case "data":
        this.#readFile(place.offset + inCluster, into);
        return true;
      case "compressed": {
        const cluster = this.#inflate(place.offset, place.length);
        if (cluster !== undefined) into.set(cluster.subarray(inCluster, inCluster + into.length));
        return cluster !== undefined;
      }
    }
  }

  /** Behind the end of the file there are zeros. */
  #readFile(offset: number, into: Uint8Array): void {
    const inside = Math.max(0, Math.min(into.length, this.#file.size - offset));
    into.fill(0);
    if (inside > 0) this.#file.read(offset, into.subarray(0, inside));
  }

  #inflate(offset: number, length: number): Uint8Array | undefined {
    const stored = new Uint8Array(Math.max(0, Math.min(length, this.#file.size - offset)));
    if (stored.length === 0) return undefined;
    this.#file.read(offset, stored);
    return firstBytes(stored, this.clusterSize);
  }

  #placeOf(offset: number): Place {
    const { clusterSize } = this;
    const entryLength = this.#extended ? 16 : 8;
    const span = (clusterSize / entryLength) * clusterSize;
    const l1Index = Math.floor(offset / span);
    const corrupt: Place = { kind: "corrupt" };
    if (l1Index >= this.#l1Entries) return corrupt;
    const l1 = this.#word(this.#l1Offset + l1Index * 8);
    const table = l1 & MASK_OFFSET;
    if (l1 === 0n) return { kind: "unallocated" };
    if ((l1 & 0x7f00_0000_0000_01ffn) !== 0n || table >= EXACT || table % BigInt(clusterSize) !== 0n) return corrupt;
    if (table === 0n) return { kind: "unallocated" };
    if (Number(table) + clusterSize > this.#file.size) return corrupt;
    const at = Number(table) + (Math.floor(offset / clusterSize) % (clusterSize / entryLength)) * entryLength;
    const entry = this.#word(at);
    if ((entry & (1n << 62n)) !== 0n) return this.#compressedPlace(entry);
    const host = entry & MASK_OFFSET;
    if ((entry & (this.#zeroFlag ? 0x3f00_0000_0000_01fen : 0x3f00_0000_0000_01ffn)) !== 0n) return corrupt;
    if (host >= EXACT || host % BigInt(clusterSize) !== 0n) return corrupt;
    if (this.#extended) return this.#subclusterPlace(this.#word(at + 8), Number(host), offset);
    if (this.#zeroFlag && entry % 2n === 1n) return { kind: "zero" };
    return host === 0n ? { kind: "unallocated" } : { kind: "data", offset: Number(host) };
  }

  #compressedPlace(entry: bigint): Place {
    const shift = BigInt(70 - Math.log2(this.clusterSize));
    const offset = entry & ((1n << (shift < 62n ? shift : 62n)) - 1n);
    if (offset >= EXACT) return { kind: "corrupt" };
    const sectors = (entry & ((1n << 62n) - 1n)) >> shift;
    return { kind: "compressed", offset: Number(offset), length: (Number(sectors) + 1) * 512 - Number(offset % 512n) };
  }

  #subclusterPlace(bitmap: bigint, host: number, offset: number): Place {
    const [allocated, zeros] = [bitmap & 0xffff_ffffn, bitmap >> 32n];
    if ((allocated & zeros) !== 0n || (allocated !== 0n && host === 0)) return { kind: "corrupt" };
    const bit = 1n << BigInt(Math.floor((offset % this.clusterSize) / (this.clusterSize / SUBCLUSTERS)));
    if ((allocated & bit) !== 0n) return { kind: "data", offset: host };
    return { kind: (zeros & bit) === 0n ? "unallocated" : "zero" };
  }

  #word(offset: number): bigint {
    const bytes = Buffer.alloc(8);
    this.#file.read(offset, bytes);
    return bytes.readBigUInt64BE();
  }

  /** The feature names and a backing format at the most, each whole and once. */
  #hasPlainExtensions(start: number, backingOffset: number): boolean {
    const end = backingOffset === 0 ? this.clusterSize : backingOffset;
    const seen = new Set<number>();
    for (let at = start; at + 8 <= end;) {
      const type = Number(this.#word(at) >> 32n);
      const length = Number(this.#word(at) & 0xffff_ffffn);
      if (type === 0) return true;
      if (seen.has(type) || length > end - at - 8 || (type === 0xe2792aca && length > 15)) return false;
      if (type === 0x23852875 || type === 0x0537be77 || type === 0x44415441) return false;
      seen.add(type);
      at += 8 + Math.ceil(length / 8) * 8;
    }
    return true;
  }
}

/** What a stream decodes to, cut off where it goes on; `undefined` where it is damaged before, or ends too early. */
function firstBytes(stored: Uint8Array, length: number): Uint8Array | undefined {
  for (const limit of [length, 64 * length, 4096 * length]) {
    try {
      const bytes = inflateRawSync(stored, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: limit });
      return bytes.length >= length ? bytes.subarray(0, length) : undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") continue;
      return prefix(stored, length);
    }
  }
  return undefined;
}

/** Damaged, but perhaps further on than the bytes that are wanted: as much of the stream as can be decoded. */
function prefix(stored: Uint8Array, length: number): Uint8Array | undefined {
  let best: Uint8Array | undefined;
  for (let [good, bad] = [0, stored.length]; bad - good > 1;) {
    const end = Math.floor((good + bad) / 2);
    try {
      best = inflateRawSync(stored.subarray(0, end), { finishFlush: constants.Z_SYNC_FLUSH });
      good = end;
    } catch {
      bad = end;
    }
  }
  return best !== undefined && best.length >= length ? best.subarray(0, length) : undefined;
}
