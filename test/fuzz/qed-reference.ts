/** QED read in the plainest way, from the specification and without the package: what every byte must be, and what a check must count. */

import type { SparseBytes } from "./sparse-bytes.ts";

/** Where a guest cluster is: an offset in the file, or not in it. */
export type Place = number | "zero" | "unallocated" | "corrupt";

/** A file that is a QED image by every rule of its header. */
export class QedReference {
  readonly imageSize: number;
  readonly clusterSize: number;
  readonly features: number;
  /** Undecoded. */
  readonly backingName: Uint8Array | undefined;
  /** Guest bytes of one L2 table. */
  readonly span: number;
  readonly tableLength: number;
  readonly #file: SparseBytes;
  readonly #l1: number;
  readonly #first: number;
  readonly #end: number;
  readonly #backing: SparseBytes | undefined;
  readonly #word: Uint8Array<ArrayBuffer> = new Uint8Array(8);
  readonly #view: DataView = new DataView(this.#word.buffer);

  /** Throws where the header breaks a rule. */
  constructor(file: SparseBytes, backing?: SparseBytes) {
    const view = new DataView(new ArrayBuffer(64));
    file.read(0, new Uint8Array(view.buffer));
    const [u32, u64] = [(at: number) => view.getUint32(at, true), (at: number) => view.getBigUint64(at, true)];
    const rule = (holds: boolean, what: string): void => {
      if (!holds) throw new RangeError(what);
    };
    const [cluster, table, header, features, l1, size, nameAt, nameLength] = [
      u32(4),
      u32(8),
      u32(12),
      u64(16),
      u64(40),
      u64(48),
      u32(56),
      u32(60),
    ];
    rule(file.size >= 64 && u32(0) === 0x444551, "magic");
    rule(features < 8n, "features");
    rule(
      [...Array(15).keys()].some((power) => cluster === 2 ** (12 + power)),
      "cluster_size",
    );
    rule([1, 2, 4, 8, 16].includes(table), "table_size");
    rule(header >= 1 && header * cluster < 2 ** 32, "header_size");
    const entries = BigInt((table * cluster) / 8);
    rule(size % 512n === 0n && size <= entries * entries * BigInt(cluster), "image_size");
    rule(size < 2n ** 53n, "image_size, which is sound and not supported");
    rule(l1 < 2n ** 53n && Number(l1) % cluster === 0 && Number(l1) >= header * cluster, "l1_table_offset");
    rule(Number(l1) + table * cluster <= file.size, "l1_table_offset");
    const named = features % 2n === 1n;
    rule(!named || (nameLength <= 1023 && nameAt + nameLength <= header * cluster), "backing_filename_size");
    if (named && nameLength > 0) {
      this.backingName = new Uint8Array(nameLength);
      file.read(nameAt, this.backingName);
      rule(!this.backingName.includes(0), "backing file name");
    }
    [this.imageSize, this.clusterSize, this.features, this.#l1] = [Number(size), cluster, Number(features), Number(l1)];
    this.tableLength = table * cluster;
    this.span = Number(entries) * cluster;
    this.#first = header * cluster;
    this.#end = file.size - (file.size % cluster);
    this.#file = file;
    this.#backing = backing;
  }

  placeOf(cluster: number): Place {
    const perTable = this.tableLength / 8;
    const table = this.#entry(this.#l1 + Math.floor(cluster / perTable) * 8);
    if (table === 0n) return "unallocated";
    if (!this.#leadsInto(table, this.tableLength)) return "corrupt";
    const entry = this.#entry(Number(table) + (cluster % perTable) * 8);
    if (entry <= 1n) return entry === 0n ? "unallocated" : "zero";
    return this.#leadsInto(entry, this.clusterSize) ? Number(entry) : "corrupt";
  }

  /** Answers the bytes, or `undefined` where one of them cannot be had. */
  read(offset: number, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const inCluster = (offset + done) % this.clusterSize;
      const part = bytes.subarray(done, done + this.clusterSize - inCluster);
      const place = this.placeOf((offset + done - inCluster) / this.clusterSize);
      if (place === "corrupt") return undefined;
      if (place === "unallocated") this.#backing?.read(offset + done, part);
      else if (place !== "zero") this.#file.read(place + inCluster, part);
      done += part.length;
    }
    return bytes;
  }

  /** Walks all tables. `soon`: entries that lead where the file will be when it has grown a little. */
  check(): { corruptions: number; leaks: number; twice: number; soon: number; mappings: Map<number, number> } {
    const found = { corruptions: 0, leaks: 0, twice: 0, soon: 0, mappings: new Map<number, number>() };
    const used = new Set<number>();
    const claim = (offset: number, length: number): boolean => {
      const before = found.twice;
      for (let at = offset; at < offset + length; at += this.clusterSize) found.twice += used.size === used.add(at).size ? 1 : 0;
      return found.twice === before;
    };
    const valid = (entry: bigint, length: number): boolean => {
      if (this.#leadsInto(entry, length)) return true;
      found.corruptions++;
      if (entry % BigInt(this.clusterSize) === 0n && entry < BigInt(this.#end + 256 * this.clusterSize)) found.soon++;
      return false;
    };
    claim(this.#l1, this.tableLength);
    for (const l1 of this.#file.words(this.#l1, this.tableLength)) {
      if (!valid(l1.value, this.tableLength) || !claim(Number(l1.value), this.tableLength)) continue;
      for (const l2 of this.#file.words(Number(l1.value), this.tableLength)) {
        if (l2.value !== 1n && (!valid(l2.value, this.clusterSize) || claim(Number(l2.value), this.clusterSize) === undefined)) continue;
        found.mappings.set((l1.index * this.tableLength) / 8 + l2.index, Number(l2.value));
      }
    }
    const inUse = [...used].filter((offset) => offset >= this.#first).length;
    return { ...found, corruptions: found.corruptions + found.twice, leaks: (this.#end - this.#first) / this.clusterSize - inUse };
  }

  #leadsInto(entry: bigint, length: number): boolean {
    return entry % BigInt(this.clusterSize) === 0n && entry >= BigInt(this.#first) && entry + BigInt(length) <= BigInt(this.#end);
  }

  #entry(at: number): bigint {
    this.#file.read(at, this.#word);
    return this.#view.getBigUint64(0, true);
  }
}
