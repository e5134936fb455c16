/** One file of a layer in the order of the host: what its bytes are for, and in which order the disk's bytes lie there. */

import type { BlockNode } from "@coblock/core";
import { DATA, HOLE, METADATA, RESERVED, type PaintedKind } from "./painted-kind.ts";
import { Strip } from "./strip.ts";

/** Counted beside what the disk uses, in words that `strip` makes of it: what it uses and the host has not stored, and all that is stored. */
const USED_HOLE = HOLE;
const STORED = METADATA;

export class HostFile {
  readonly fileName: string;
  /** Bytes. */
  readonly size: number;
  readonly #node: BlockNode;
  readonly #seen: Strip;
  /** Guest offsets, weighted by bytes. */
  readonly #positions: Float64Array;
  #lastEnd: number | undefined;
  #pieces = 0;
  #backward = 0;

  constructor(node: BlockNode, count: number) {
    this.fileName = node.fileName;
    this.size = node.size;
    this.#node = node;
    this.#seen = new Strip(node.size, count, [DATA, RESERVED, USED_HOLE, STORED]);
    this.#positions = new Float64Array(this.#seen.count);
  }

  /** Stretches of the file that hold data of the disk, in its order: 1 where nothing is scattered. */
  get pieces(): number {
    return this.#pieces;
  }

  /** Bytes of the disk's data in the file. */
  get dataLength(): number {
    return this.#seen.total(DATA);
  }

  /** How many of them lie before what precedes them in the disk. */
  get backward(): number {
    return this.#backward;
  }

  /** A run of the disk that begins at `guestOffset` lies at `offset`. */
  async use(run: {
    readonly guestOffset: number;
    readonly offset: number;
    readonly length: number;
    readonly isZero: boolean;
  }): Promise<void> {
    const { guestOffset, offset, isZero } = run;
    const length = Math.min(run.length, this.size - offset);
    if (length <= 0) return;
    this.#seen.add(offset, length, isZero ? RESERVED : DATA);
    for await (const part of this.#node.extents({ offset, length, throughBacking: false }))
      if (part.kind === "zero" || part.kind === "unallocated") this.#seen.add(part.offset, part.length, USED_HOLE);
    if (isZero) return;
    if (offset !== this.#lastEnd) this.#pieces++;
    if (this.#lastEnd !== undefined && offset < this.#lastEnd) this.#backward++;
    this.#lastEnd = offset + length;
    this.#notePositions(guestOffset, offset, length);
  }

  /** Looks at what the host has stored of the file: once, after everything that is used was told. */
  async finish(): Promise<void> {
    for await (const part of this.#node.extents({ throughBacking: false }))
      if (part.kind === "data" || part.kind === "compressed") this.#seen.add(part.offset, part.length, STORED);
  }

  /** What the bytes are for. Where two parts of the disk share bytes, these count once. */
  strip(): Strip {
    const strip = new Strip(this.size, this.#seen.count, [DATA, RESERVED, METADATA, HOLE]);
    for (let bucket = 0; bucket < strip.count; bucket++) {
      let left = strip.length(bucket);
      const put = (kind: PaintedKind, bytes: number): void => {
        const fitting = Math.max(0, Math.min(bytes, left));
        strip.addToBucket(bucket, fitting, kind);
        left -= fitting;
      };
      const [data = 0, zero = 0, usedHole = 0, stored = 0] = this.#seen.kinds.map((kind) => this.#seen.bytes(bucket, kind));
      put(DATA, data);
      put(RESERVED, zero);
      put(METADATA, stored - (data + zero - usedHole));
      put(HOLE, left);
    }
    return strip;
  }

  /** For each bucket the mean place in the disk of the data that it holds, from 0 to 1; undefined where it holds none. */
  positions(diskSize: number): ReadonlyArray<number | undefined> {
    return Array.from(this.#positions, (sum, bucket) => {
      const bytes = this.#seen.bytes(bucket, DATA);
      return bytes === 0 ? undefined : Math.min(1, sum / bytes / diskSize);
    });
  }

  #notePositions(guestOffset: number, offset: number, length: number): void {
    const { count } = this.#seen;
    const first = Math.max(0, Math.floor((offset / this.size) * count) - 1);
    for (let bucket = first; bucket < count && this.#seen.start(bucket) < offset + length; bucket++) {
      const from = Math.max(offset, this.#seen.start(bucket));
      const to = Math.min(offset + length, this.#seen.start(bucket + 1));
      if (to > from) this.#positions[bucket] = (this.#positions[bucket] ?? 0) + (to - from) * (guestOffset + (from + to) / 2 - offset);
    }
  }
}
