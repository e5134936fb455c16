/** The one place that decides in which order metadata goes to disk. */

import { type BlockChild, hex } from "@coblock/core";
import type { ImageFile } from "./image-file.ts";
import type { L1Table } from "./l1-table.ts";
import type { L2Tables } from "./l2-tables.ts";
import type { MetadataKind, MetadataMap } from "./metadata-map.ts";
import type { RefcountStore } from "./refcount-store.ts";
import type { References } from "./references.ts";
import type { TableBytes } from "./table-bytes.ts";

export interface WriteOutParts {
  readonly file: ImageFile;
  readonly map: MetadataMap;
  readonly l1: L1Table;
  readonly l2: L2Tables;
  readonly refcounts: RefcountStore;
  readonly references: References;
  /** Flushes guest data that a table in memory shows. */
  readonly dataBarrier: () => Promise<void>;
}

/**
 * Nothing on disk ever points to what is not on disk yet, or to what the refcounts call free:
 *
 *     guest data ─┐
 *     refcount blocks → flush → refcount table ─┴→ flush → L2 tables → flush → L1 table → (flush) → lowered refcounts
 *
 * A crash in between leaves clusters with a refcount and no owner, never the other way round. qcow2 has no log: this order is all there is.
 * With lazy refcounts a mark in the header takes the place of the refcounts: it is on disk before the first table that they should have
 * preceded, and goes when they are all there (`clean`). Who finds it counts anew.
 * Every step runs under the driver lock, so the tables keep still.
 */
export class WriteOut {
  readonly #parts: WriteOutParts;
  /** Refcounts were written since the last flush. */
  #refcountsToFlush = false;
  readonly #dataToFlush = new Set<BlockChild>();
  #lazy = false;

  constructor(parts: WriteOutParts) {
    this.#parts = parts;
  }

  /** Data was written past the engine, and is about to be linked: it goes to disk before the next L2 table. */
  wroteData(child: BlockChild): void {
    this.#dataToFlush.add(child);
  }

  /** Whether refcounts may stay behind, with the image marked as dirty. To turn that off, `clean` comes first. */
  setLazy(lazy: boolean): void {
    this.#lazy = lazy;
  }

  /** Refcounts that rose, or fell long ago. */
  async refcounts(): Promise<void> {
    const { file, refcounts } = this.#parts;
    if (refcounts.blocks.dirtyEntries().length > 0) {
      await refcounts.writeBlocks();
      this.#refcountsToFlush = true;
    }
    if (!refcounts.table.dirty) return;
    await this.#flush();
    await file.writeTable("reftable_update", refcounts.tableOffset, refcounts.table);
    this.#refcountsToFlush = true;
  }

  /** L2 tables, after all that they point to. The cache calls it too, to make room. */
  async l2Tables(): Promise<void> {
    const { file, map, l2, dataBarrier } = this.#parts;
    const dirty = l2.slices.dirtyEntries();
    if (dirty.length === 0) return;
    await this.#countsFirst();
    await dataBarrier();
    for (const child of this.#dataToFlush) {
      await child.flush();
      this.#dataToFlush.delete(child);
    }
    if (this.#refcountsToFlush) await this.#flush();
    for (const entry of dirty) {
      await this.#expectAlone(map.isActiveL2Table(entry.offset) ? "active L2 table" : "inactive L2 table", entry.offset, entry.table);
      await file.writeTable("l2_update", entry.offset, entry.table);
      l2.slices.markClean(entry);
    }
  }

  /** Everything; the caller flushes afterwards. */
  async all(): Promise<void> {
    const { l1, file, references } = this.#parts;
    await this.l2Tables();
    if (l1.table.dirty) {
      await this.#countsFirst();
      await this.#flush();
      await this.#expectAlone("active L1 table", l1.offset, l1.table);
      await file.writeTable("l1_update", l1.offset, l1.table);
    }
    if (references.hasPending) {
      await this.#flush();
      await references.settle();
    }
    if (!file.countsBehind) await this.refcounts();
  }

  /** Everything, and on stable storage where refcounts had stayed behind; then the mark in the header goes. */
  async clean(): Promise<void> {
    const { file } = this.#parts;
    await this.all();
    if (!file.countsBehind) return;
    await this.refcounts();
    await this.#flush();
    await file.markClean();
  }

  /** What tables are about to show is counted, or the image says that it is not. */
  async #countsFirst(): Promise<void> {
    const { file, refcounts } = this.#parts;
    if (this.#lazy && refcounts.dirty) await file.markDirty();
    else await this.refcounts();
  }

  /** A table lies where it is said to lie, and where other metadata lies, too. */
  async #expectAlone(own: MetadataKind, offset: number, { bytes: { length } }: TableBytes): Promise<void> {
    const { file, map } = this.#parts;
    const kind = map.find(offset, length, own);
    if (kind !== undefined) await file.failDamaged(file.corrupt(`an ${own} at offset ${hex(offset)} lies over the ${kind}`, offset));
  }

  async #flush(): Promise<void> {
    await this.#parts.file.flush();
    this.#refcountsToFlush = false;
  }
}
