/** Where metadata lies in the image file, so that nothing else is ever written over it: QEMU's overlap checks. */

import { clusterOf, type Geometry } from "../format/geometry.ts";

export type MetadataKind =
  | "header"
  | "active L1 table"
  | "refcount table"
  | "snapshot table"
  | "bitmap directory"
  | "LUKS header"
  | "inactive L1 table"
  | "active L2 table"
  | "inactive L2 table"
  | "refcount block";

interface Range {
  readonly kind: MetadataKind;
  readonly start: number;
  readonly end: number;
}

/** Costs nothing but set look-ups: it is asked for every cluster that is written. */
export class MetadataMap {
  readonly #geometry: Geometry;
  readonly #l2Tables = new Set<number>();
  readonly #refcountBlocks = new Set<number>();
  #inactiveL2: ReadonlySet<number> = new Set();
  #checked: ReadonlySet<MetadataKind>;
  #single: readonly Range[] = [];
  /** Sorted, disjoint. */
  #inactiveL1: readonly Range[] = [];

  /** `checked`: what `find` tells of. */
  constructor(geometry: Geometry, checked: ReadonlySet<MetadataKind>) {
    this.#geometry = geometry;
    this.#checked = checked;
  }

  get checked(): ReadonlySet<MetadataKind> {
    return this.#checked;
  }

  /** From now on `find` tells of these kinds alone. */
  check(kinds: ReadonlySet<MetadataKind>): void {
    this.#checked = kinds;
  }

  /** There is one of this kind, and it lies in [offset, offset + length). */
  place(kind: MetadataKind, offset: number, length: number): void {
    const others = this.#single.filter((range) => range.kind !== kind);
    this.#single = length === 0 ? others : [...others, { kind, start: offset, end: offset + length }];
  }

  placeInactiveL1(tables: readonly { readonly offset: number; readonly length: number }[]): void {
    const joined: { kind: MetadataKind; start: number; end: number }[] = [];
    for (const { offset, length } of [...tables].sort((a, b) => a.offset - b.offset)) {
      const last = joined[joined.length - 1];
      if (length === 0) continue;
      if (last !== undefined && offset <= last.end) last.end = Math.max(last.end, offset + length);
      else joined.push({ kind: "inactive L1 table", start: offset, end: offset + length });
    }
    this.#inactiveL1 = joined;
  }

  addL2Table(offset: number): void {
    this.#l2Tables.add(clusterOf(this.#geometry, offset));
  }

  isActiveL2Table(offset: number): boolean {
    return this.#l2Tables.has(clusterOf(this.#geometry, offset));
  }

  /** Clusters that hold the L2 tables of all snapshots. */
  placeInactiveL2(clusters: ReadonlySet<number>): void {
    this.#inactiveL2 = clusters;
  }

  removeL2Table(offset: number): void {
    this.#l2Tables.delete(clusterOf(this.#geometry, offset));
  }

  addRefcountBlock(offset: number): void {
    this.#refcountBlocks.add(clusterOf(this.#geometry, offset));
  }

  removeRefcountBlock(offset: number): void {
    this.#refcountBlocks.delete(clusterOf(this.#geometry, offset));
  }

  /** The metadata that [offset, offset + length) touches, if any, of the kinds that are checked; `own` is what the bytes are themselves. */
  find(offset: number, length: number, own?: MetadataKind): MetadataKind | undefined {
    return this.#find(offset, length, own, this.#checked);
  }

  /** The same for all kinds, whatever is checked: for what must hold in any case. L2 tables of snapshots are known only where they are checked. */
  findAny(offset: number, length: number, own?: MetadataKind): MetadataKind | undefined {
    return this.#find(offset, length, own, undefined);
  }

  #find(
    offset: number,
    length: number,
    own: MetadataKind | undefined,
    kinds: ReadonlySet<MetadataKind> | undefined,
  ): MetadataKind | undefined {
    const end = offset + length;
    for (const { kind, start, end: rangeEnd } of this.#single) if (offset < rangeEnd && start < end && tells(kind, own, kinds)) return kind;
    if (this.#inactiveL1.length > 0 && this.#touchesInactiveL1(offset, end) && tells("inactive L1 table", own, kinds))
      return "inactive L1 table";
    const last = clusterOf(this.#geometry, end - 1);
    for (let cluster = clusterOf(this.#geometry, offset); cluster <= last; cluster++) {
      if (this.#l2Tables.has(cluster) && tells("active L2 table", own, kinds)) return "active L2 table";
      if (this.#refcountBlocks.has(cluster) && tells("refcount block", own, kinds)) return "refcount block";
      if (this.#inactiveL2.has(cluster) && tells("inactive L2 table", own, kinds)) return "inactive L2 table";
    }
    return undefined;
  }

  /** The first range that ends after `offset` is the only one that can touch, or a later one that starts even later. */
  #touchesInactiveL1(offset: number, end: number): boolean {
    let low = 0;
    let high = this.#inactiveL1.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#inactiveL1[middle]?.end ?? 0) > offset) high = middle;
      else low = middle + 1;
    }
    return (this.#inactiveL1[low]?.start ?? Number.POSITIVE_INFINITY) < end;
  }
}

function tells(kind: MetadataKind, own: MetadataKind | undefined, kinds: ReadonlySet<MetadataKind> | undefined): boolean {
  return kind !== own && (kinds === undefined || kinds.has(kind));
}
