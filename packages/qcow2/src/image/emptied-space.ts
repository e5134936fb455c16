/** What lies in clusters that stay where they are although the guest gave it up: the host gets the bytes back, nobody the place. */

import { type BlockChild, hex } from "@coblock/core";
import { isCopied } from "../format/entries.ts";
import type { FreedBy } from "../metadata/freed-space.ts";
import { hostOffsetAt, type L2Place } from "../metadata/l2-entry.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { kindAt } from "../metadata/owned-space.ts";

export interface EmptiedSpaceParts {
  readonly metadata: Metadata;
  readonly writable: WritableMetadata;
  /** Holds the guest's clusters. */
  readonly data: BlockChild;
}

/** Gathered before the tables change, and handed on in the turn in which they do. */
export class EmptiedSpace {
  readonly #parts: EmptiedSpaceParts;
  readonly #runs: { readonly offset: number; length: number }[] = [];

  constructor(parts: EmptiedSpaceParts) {
    this.#parts = parts;
  }

  /**
   * The cluster of an entry that is about to read as zeros; `keepsPlace`: and to keep it. In a data file every cluster has its place for
   * good. One that a snapshot reads is left alone. Throws CORRUPT_IMAGE for entries that cannot be.
   */
  add(place: L2Place, index: number, keepsPlace: boolean): void {
    const { geometry } = place;
    const { kind, high } = kindAt(place, index);
    if (kind !== "data" && kind !== "reserved") return;
    if (!geometry.externalData && (!keepsPlace || !isCopied(high))) return;
    const host = hostOffsetAt(place, index);
    const last = this.#runs[this.#runs.length - 1];
    if (last !== undefined && last.offset + last.length === host) last.length += geometry.clusterSize;
    else this.#runs.push({ offset: host, length: geometry.clusterSize });
  }

  /** Rejects with CORRUPT_IMAGE, and fails the image, where metadata lies in such a cluster. */
  async expectAlone(): Promise<void> {
    const { file, geometry } = this.#parts.metadata;
    for (const { offset, length } of geometry.externalData ? [] : this.#runs) {
      const other = this.#parts.writable.map.find(offset, length);
      if (other === undefined) continue;
      await file.failDamaged(
        file.corrupt(`guest clusters have space at offset ${hex(offset)} for ${length} bytes, over the ${other}`, offset),
      );
    }
  }

  /** The entries read as zeros now. */
  commit(by: FreedBy): void {
    for (const { offset, length } of this.#runs) this.#parts.writable.freed.empty(this.#parts.data, offset, length, by);
  }
}
