/** One metadata table in memory, as it is on disk, with the parts that the disk does not have yet. */

import type { Entry } from "../format/entries.ts";
import { viewOf } from "../format/words.ts";

/** Bytes that are written together. */
const PART = 512;
/** So many clean parts between dirty ones are written along: one write more costs more than they do. */
const JOINED_GAP = 8;

/** L1 and L2 tables, the refcount table and refcount blocks. Entries of 8 bytes are reached as two halves. */
export class TableBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #dirtyParts: Uint8Array;
  #dirty = false;
  #fresh: boolean;

  /** `fresh`: nothing of it is on disk. */
  constructor(bytes: Uint8Array, fresh = false) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
    this.#dirtyParts = new Uint8Array(Math.ceil(bytes.length / PART));
    this.#fresh = fresh;
    if (fresh) this.touch(0, bytes.length);
  }

  /** Entries of 8 bytes. */
  get entries(): number {
    return this.bytes.length / 8;
  }

  get dirty(): boolean {
    return this.#dirty;
  }

  /** Nothing of it is on disk. */
  get fresh(): boolean {
    return this.#fresh;
  }

  high(index: number): number {
    return this.view.getUint32(index * 8);
  }

  low(index: number): number {
    return this.view.getUint32(index * 8 + 4);
  }

  set(index: number, { high, low }: Entry): void {
    this.view.setUint32(index * 8, high);
    this.view.setUint32(index * 8 + 4, low);
    this.touch(index * 8, 8);
  }

  /** Bytes [at, at + length) were changed. */
  touch(at: number, length: number): void {
    if (length === 0) return;
    this.#dirtyParts.fill(1, Math.floor(at / PART), Math.ceil((at + length) / PART));
    this.#dirty = true;
  }

  /** What has to be written, near neighbours joined. */
  dirtyRuns(): { readonly at: number; readonly bytes: Uint8Array }[] {
    const runs: { at: number; bytes: Uint8Array }[] = [];
    if (!this.#dirty) return runs;
    for (let start = this.#dirtyParts.indexOf(1); start >= 0;) {
      let end = start;
      let next = start;
      while (next >= 0 && next - end <= JOINED_GAP) {
        const clean = this.#dirtyParts.indexOf(0, next);
        end = clean < 0 ? this.#dirtyParts.length : clean;
        next = this.#dirtyParts.indexOf(1, end);
      }
      runs.push({ at: start * PART, bytes: this.bytes.subarray(start * PART, end * PART) });
      start = next;
    }
    return runs;
  }

  /** All of `dirtyRuns` was written. */
  clean(): void {
    this.#dirtyParts.fill(0);
    this.#dirty = false;
    this.#fresh = false;
  }
}
