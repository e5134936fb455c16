/** An L1 or L2 table in memory: 64-bit little-endian entries, read as numbers. */

import { alignDown, alignUp } from "@coblock/core";
import { SECTOR_SIZE } from "./header.ts";

const ENTRY_LENGTH = 8;
const HIGH_WORD = 2 ** 32;

/** New values of `count` entries from `index` on: `first`, and each one `step` more than the one before. */
export interface EntryRun {
  readonly index: number;
  readonly count: number;
  readonly first: number;
  readonly step: number;
}

export class Table {
  /** Whole sectors. */
  readonly bytes: Uint8Array;
  readonly entries: number;
  readonly #view: DataView;

  /** Empty, with room for `entries` in whole sectors. */
  constructor(entries: number) {
    this.bytes = new Uint8Array(Math.max(SECTOR_SIZE, alignUp(entries * ENTRY_LENGTH, SECTOR_SIZE)));
    this.entries = this.bytes.length / ENTRY_LENGTH;
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Exact up to 2^53; a larger one comes rounded, which is past the end of any file. */
  entry(index: number): number {
    const at = index * ENTRY_LENGTH;
    return this.#view.getUint32(at + 4, true) * HIGH_WORD + this.#view.getUint32(at, true);
  }

  /**
   * Guest bytes from `offset` on, at most `length`, over which entries go up by `step`; entry `index` maps the first of them, each `span`.
   */
  runLength(span: number, index: number, step: number, offset: number, length: number): number {
    const inEntry = offset % span;
    const limit = Math.min(Math.ceil((inEntry + length) / span), this.entries - index);
    const first = this.entry(index);
    let count = 1;
    while (count < limit && this.entry(index + count) === first + count * step) count++;
    return Math.min(length, count * span - inEntry);
  }

  /** Values are at most 2^53. */
  setRun({ index, count, first, step }: EntryRun): void {
    for (let done = 0; done < count; done++) {
      const value = first + done * step;
      const at = (index + done) * ENTRY_LENGTH;
      this.#view.setUint32(at, value % HIGH_WORD, true);
      this.#view.setUint32(at + 4, Math.floor(value / HIGH_WORD), true);
    }
  }

  /** The whole sectors around `run`, copied and with the run in them; this table stays as it is. */
  sectorsWith(run: EntryRun): { readonly offset: number; readonly bytes: Uint8Array } {
    const offset = alignDown(run.index * ENTRY_LENGTH, SECTOR_SIZE);
    const end = alignUp((run.index + run.count) * ENTRY_LENGTH, SECTOR_SIZE);
    const copy = new Table((end - offset) / ENTRY_LENGTH);
    copy.bytes.set(this.bytes.subarray(offset, end));
    copy.setRun({ ...run, index: run.index - offset / ENTRY_LENGTH });
    return { offset, bytes: copy.bytes };
  }
}
