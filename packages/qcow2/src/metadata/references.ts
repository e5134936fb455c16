/** Giving up references to host clusters: at once in memory for those that have an owner left, retired for those that have none. */

import { assert, hex } from "@coblock/core";
import type { Geometry } from "../format/geometry.ts";
import type { ClusterAllocator } from "./cluster-allocator.ts";
import type { FreedBy, FreedSpace } from "./freed-space.ts";
import type { ClusterRun } from "./free-runs.ts";
import type { ImageFile } from "./image-file.ts";
import type { RefcountStore } from "./refcount-store.ts";

export interface ReferencesParts {
  readonly file: ImageFile;
  readonly geometry: Geometry;
  readonly refcounts: RefcountStore;
  readonly clusters: ClusterAllocator;
  readonly freed: FreedSpace;
}

/** What a change of the mapping gives up; made before the change, as it may fail, and committed with it, which cannot. */
export interface ReferenceDrops {
  /** Runs of clusters that have one owner: COPIED says so. */
  readonly owned: readonly ClusterRun[];
  /** Of the others: references given up, and those there are. */
  readonly shared: ReadonlyMap<number, { readonly drops: number; readonly count: number }>;
}

/**
 * A refcount may fall only when the table that dropped the reference is on disk. The last reference of a cluster is retired: core says
 * when it may be released. For any other one the count is lowered after the next time that all tables went out (`settle`).
 */
export class References {
  readonly #parts: ReferencesParts;
  /** References by cluster that are gone from the tables in memory, and not yet from the refcounts. */
  readonly #pending = new Map<number, number>();
  /** The end of the bytes that are in use in a cluster of compressed data that has room left. */
  #packEnd: number | undefined;

  constructor(parts: ReferencesParts) {
    this.#parts = parts;
  }

  get hasPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Looks up what is needed to give up `owned` clusters and one reference for each item of `shared`. */
  async plan(owned: readonly ClusterRun[], shared: readonly number[]): Promise<ReferenceDrops> {
    const planned = new Map<number, { drops: number; count: number }>();
    for (const cluster of shared) {
      const known = planned.get(cluster);
      if (known !== undefined) known.drops++;
      else planned.set(cluster, { drops: 1, count: await this.#parts.refcounts.get(cluster) });
    }
    for (const [cluster, { drops, count }] of planned) {
      const left = count - (this.#pending.get(cluster) ?? 0);
      if (left < drops) await this.#failTooLow(cluster, left, drops);
    }
    return { owned, shared: planned };
  }

  /** Gives up what was planned, in the same turn as the change of the mapping. */
  commit({ owned, shared }: ReferenceDrops, by: FreedBy): void {
    for (const run of owned) this.#retire(run, by);
    for (const [cluster, { drops, count }] of shared) {
      const pending = this.#pending.get(cluster) ?? 0;
      const isLast = count - pending === drops;
      if (isLast) this.#retire({ first: cluster, count: 1 }, by);
      const later = pending + drops - (isLast ? 1 : 0);
      if (later > 0) this.#pending.set(cluster, later);
    }
  }

  /** What was given up until now is on disk: lowers the refcounts in memory. */
  async settle(): Promise<void> {
    await this.#parts.file.event("cluster_free");
    for (const [cluster, drops] of this.#pending) {
      await this.#lower(cluster, drops);
      this.#pending.delete(cluster);
    }
  }

  /** Retired clusters that nothing refers to any more. */
  async release(first: number, count: number): Promise<void> {
    await this.#parts.file.event("cluster_free");
    for (let cluster = first; cluster < first + count; cluster++) await this.#lower(cluster, 1);
  }

  /** Room for `length` bytes of compressed data, byte by byte behind the last; each host cluster touched has one reference more. */
  async allocateBytes(length: number): Promise<number> {
    const { clusterSize } = this.#parts.geometry;
    assert(length > 0 && length < clusterSize, "compressed data is shorter than a cluster");
    await this.#parts.file.event("cluster_alloc_bytes");
    const offset = (await this.#continuePack(length)) ?? (await this.#parts.clusters.allocate(1)).first * clusterSize;
    const end = offset + length;
    this.#packEnd = end % clusterSize === 0 ? undefined : end;
    return offset;
  }

  /** The bytes were never linked. */
  async giveBackBytes(offset: number, length: number): Promise<void> {
    const { first, count } = this.clustersOf(offset, length);
    await this.#parts.file.event("cluster_free");
    for (let cluster = first; cluster < first + count; cluster++) await this.#lower(cluster, 1);
  }

  clustersOf(offset: number, length: number): ClusterRun {
    const { clusterSize } = this.#parts.geometry;
    const first = Math.floor(offset / clusterSize);
    return { first, count: Math.floor((offset + length - 1) / clusterSize) - first + 1 };
  }

  /** Behind the last compressed bytes, if the reference that this needs can be counted, and the rest fits or the next cluster is free. */
  async #continuePack(length: number): Promise<number | undefined> {
    const { refcounts, clusters, geometry } = this.#parts;
    const start = this.#packEnd;
    if (start === undefined) return undefined;
    const cluster = Math.floor(start / geometry.clusterSize);
    if ((await refcounts.get(cluster)) >= refcounts.codec.max) return undefined;
    if (length <= geometry.clusterSize - (start % geometry.clusterSize)) {
      await refcounts.raise(cluster);
      return start;
    }
    const next = await clusters.allocate(1);
    if (next.first !== cluster + 1) return next.first * geometry.clusterSize;
    await refcounts.raise(cluster);
    return start;
  }

  #retire({ first, count }: ClusterRun, by: FreedBy): void {
    const { clusterSize } = this.#parts.geometry;
    this.#stopPacking(first, count);
    this.#parts.freed.retire(first * clusterSize, count * clusterSize, by);
  }

  async #lower(cluster: number, by: number): Promise<void> {
    if ((await this.#parts.refcounts.lower(cluster, by)) > 0) return;
    this.#stopPacking(cluster, 1);
    this.#parts.clusters.released(cluster, 1);
  }

  /** Compressed data is not put into clusters that are about to be free. */
  #stopPacking(first: number, count: number): void {
    const { clusterSize } = this.#parts.geometry;
    if (this.#packEnd !== undefined && this.#packEnd >= first * clusterSize && this.#packEnd < (first + count) * clusterSize)
      this.#packEnd = undefined;
  }

  async #failTooLow(cluster: number, count: number, drops: number): Promise<never> {
    const { file, geometry } = this.#parts;
    const offset = cluster * geometry.clusterSize;
    return file.failDamaged(
      file.corrupt(`the cluster at offset ${hex(offset)} has ${count} references left, and ${drops} more are given up`, offset),
    );
  }
}
