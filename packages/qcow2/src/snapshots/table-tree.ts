/** All that an L1 table leads to: its L2 tables, one after the other, and the host clusters that each of them uses. */

import { type CachedTable, hex } from "@coblock/core";
import { COPIED_HIGH, isCopied, type L2Kind } from "../format/entries.ts";
import { clusterOf } from "../format/geometry.ts";
import type { L1Table } from "../metadata/l1-table.ts";
import { compressedPlaceAt, entriesIn, hostOffsetAt, type L2Place } from "../metadata/l2-entry.ts";
import type { Metadata } from "../metadata/metadata.ts";
import { kindAt } from "../metadata/owned-space.ts";
import type { RefcountStore } from "../metadata/refcount-store.ts";
import type { TableBytes } from "../metadata/table-bytes.ts";

/** One slice of an L2 table: in the cache for this turn, so what is wanted of it is taken before the next await. */
export interface Branch {
  readonly l1Index: number;
  /** Of the table. */
  readonly offset: number;
  readonly slice: CachedTable<TableBytes>;
  readonly place: L2Place;
  /**
   * References that the slice holds, one for each: a cluster of compressed data may be there many times. The last slice of a table brings
   * the one that holds the table.
   */
  readonly references: readonly number[];
}

/** Used under the driver lock alone. Throws CORRUPT_IMAGE where a table or an entry cannot be. */
export class TableTree {
  readonly l1: L1Table;
  readonly #metadata: Metadata;

  constructor(metadata: Metadata, l1: L1Table) {
    this.#metadata = metadata;
    this.l1 = l1;
  }

  async *branches(): AsyncGenerator<Branch> {
    const { l2, file, geometry } = this.#metadata;
    for (let l1Index = 0; l1Index < this.l1.entries; l1Index++) {
      const offset = this.l1.l2Offset(l1Index);
      if (offset === 0) continue;
      for (let firstEntry = 0; firstEntry < geometry.l2Entries; firstEntry += l2.sliceEntries) {
        const slice = await l2.fetch(offset, firstEntry);
        const place: L2Place = { file, geometry, table: slice.table, l1Index, offset: slice.offset, firstEntry };
        const references = referencesOf(place);
        if (firstEntry + l2.sliceEntries === geometry.l2Entries) references.push(clusterOf(geometry, offset));
        yield { l1Index, offset, slice, place, references };
      }
    }
  }

  /** Refuses trees that cannot be counted: every reference must be in the refcounts, and `more` times as many must fit in there. */
  async expectCounted(refcounts: RefcountStore, more: 0 | 1): Promise<void> {
    const { max, bits } = refcounts.codec;
    const { file, geometry } = this.#metadata;
    /** Of clusters with so many references that each has to be counted. */
    const wanted = new Map<number, number>();
    const check = (count: number, cluster: number): number => {
      const offset = cluster * geometry.clusterSize;
      if (count === 0) throw file.corrupt(`the cluster at offset ${hex(offset)} is in use, but its refcount is 0`, offset);
      if (count === Number.MAX_SAFE_INTEGER) throw file.tooManyReferences(cluster, bits);
      // A sound tree holds at most `count` of the references.
      if (more === 0 || count * 2 <= max) return count;
      const sum = (wanted.get(cluster) ?? count) + 1;
      wanted.set(cluster, sum);
      if (sum > max) throw file.tooManyReferences(cluster, bits);
      return count;
    };
    for await (const { references } of this.branches()) await refcounts.update(references, check);
  }
}

/** Host clusters that the entries of a slice use, once for each use. Those of a data file are not counted. */
function referencesOf(place: L2Place): number[] {
  const { geometry } = place;
  const clusters: number[] = [];
  for (let index = 0; index < entriesIn(place); index++) {
    const { kind } = kindAt(place, index);
    if (kind === "compressed") {
      const { offset, length } = compressedPlaceAt(place, index);
      const last = clusterOf(geometry, offset + length - 1);
      for (let cluster = clusterOf(geometry, offset); cluster <= last; cluster++) clusters.push(cluster);
    } else if (hasCluster(kind) && !geometry.externalData) clusters.push(clusterOf(geometry, hostOffsetAt(place, index)));
  }
  return clusters;
}

/** A cluster of its own, which the flag COPIED speaks of. */
export function hasCluster(kind: L2Kind): boolean {
  return kind === "data" || kind === "reserved";
}

/** Sets or clears COPIED in word `word` of a table; answers whether that changed it. */
export function setCopied(table: TableBytes, word: number, copied: boolean): boolean {
  const high = table.high(word);
  if (isCopied(high) === copied) return false;
  table.set(word, { high: copied ? high + COPIED_HIGH : high - COPIED_HIGH, low: table.low(word) });
  return true;
}
