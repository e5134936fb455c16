/** What a model disk holds where no request has touched it. */

import { ModelMismatch } from "./model-mismatch.ts";
import { partOf, SECTOR_SIZE, SectorContent, type SectorPart } from "./sector-content.ts";

const ZEROS = Buffer.alloc(65_536);

/** Never changes. Zeros follow after its last byte, without end. */
export class InitialContent {
  readonly #bytes: Buffer;

  /** Keeps a copy of the bytes. */
  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  /** Up to its end there may be something else than zeros. */
  get length(): number {
    return this.#bytes.length;
  }

  /** The sector at `start`. */
  sectorAt(start: number): SectorContent {
    if (start >= this.#bytes.length) return SectorContent.ZERO;
    if (start + SECTOR_SIZE <= this.#bytes.length) return new SectorContent(this.#bytes, start);
    return SectorContent.ZERO.withBytes(0, this.#bytes.subarray(start));
  }

  /**
   * Judges what was read at `offset`: `judge` answers for sectors that `touched` (by number) has; throws ModelMismatch where anything else
   * is not as it is here.
   */
  expect<Touched>(reading: {
    readonly offset: number;
    readonly seen: Uint8Array;
    readonly what: string;
    readonly touched: ReadonlyMap<number, Touched>;
    readonly judge: (sector: Touched, start: number, part: SectorPart) => void;
  }): void {
    const { offset, seen, what, touched, judge } = reading;
    let judged = 0;
    for (let number = Math.floor(offset / SECTOR_SIZE); number * SECTOR_SIZE < offset + seen.length; number++) {
      const sector = touched.get(number);
      if (sector === undefined) continue;
      const start = number * SECTOR_SIZE;
      const part = partOf(start, offset, seen);
      this.#expectUntouched(what, offset, seen, judged, part.seenStart);
      judge(sector, start, part);
      judged = part.seenStart + part.to - part.from;
    }
    this.#expectUntouched(what, offset, seen, judged, seen.length);
  }

  /** Bytes [from, to) of what was seen. */
  #expectUntouched(what: string, offset: number, seen: Uint8Array, from: number, to: number): void {
    if (this.#isHere(offset, seen, from, to)) return;
    const first = Math.floor((offset + from) / SECTOR_SIZE) * SECTOR_SIZE;
    for (let start = first; start < offset + to; start += SECTOR_SIZE) {
      const part = partOf(start, offset, seen.subarray(0, to));
      const content = this.sectorAt(start);
      if (content.match(part) === "no") throw ModelMismatch.inSector(what, start, part, [content]);
    }
  }

  #isHere(offset: number, seen: Uint8Array, from: number, to: number): boolean {
    const end = Math.min(to, Math.max(from, this.#bytes.length - offset));
    if (end > from && this.#bytes.compare(seen, from, end, offset + from, offset + end) !== 0) return false;
    for (let at = end; at < to; at += ZEROS.length) {
      const length = Math.min(ZEROS.length, to - at);
      if (ZEROS.compare(seen, at, at + length, 0, length) !== 0) return false;
    }
    return true;
  }
}
