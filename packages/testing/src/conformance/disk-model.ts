/** What a disk may hold: an array of bytes, with more than one answer where a write failed or met another one. */

import { assert } from "@coblock/core";
import { describeBytes } from "./patterns.ts";

/** The unit of uncertainty: a sector is what one write or the other left, never a mixture. */
export const SECTOR_SIZE = 512;

/** Bytes that a request may have put on the disk. */
export interface Change {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Offsets and lengths are bytes. */
export class DiskModel {
  /** All that each sector may hold; usually one content. */
  readonly #sectors: (readonly Uint8Array[])[] = [];
  /** For sectors that changed since the last flush: all that they held since. */
  readonly #unflushed: Map<number, readonly Uint8Array[]> = new Map();
  #size: number;

  constructor(content: Uint8Array) {
    this.#size = content.length;
    for (let offset = 0; offset < content.length; offset += SECTOR_SIZE) this.#sectors.push([content.slice(offset, offset + SECTOR_SIZE)]);
  }

  static empty(size: number): DiskModel {
    return new DiskModel(new Uint8Array(size));
  }

  get size(): number {
    return this.#size;
  }

  /** One of the contents that the disk may have. */
  get bytes(): Uint8Array {
    const bytes = new Uint8Array(this.#size);
    for (const [index, [content]] of this.#sectors.entries()) if (content !== undefined) bytes.set(content, index * SECTOR_SIZE);
    return bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#change({ offset, bytes }, (_before, after) => after);
  }

  zero(offset: number, length: number): void {
    this.write(offset, new Uint8Array(length));
  }

  /** A change that failed, or that may be left undone: each sector is as it was, or as it should be. */
  attempt(offset: number, bytes: Uint8Array): void {
    this.#change({ offset, bytes }, (before, after) => [...before, ...after]);
  }

  /** Changes of whole sectors that ran at the same time: each sector is as one of them left it. */
  writeTogether(changes: readonly Change[]): void {
    const touched = new Set<number>();
    for (const change of changes) for (const index of sectorsOf(change)) touched.add(index);
    for (const index of touched) {
      const contents: Uint8Array[] = [];
      for (const { offset, bytes } of changes) {
        const start = index * SECTOR_SIZE - offset;
        if (start >= 0 && start < bytes.length) contents.push(bytes.slice(start, start + this.#lengthOf(index)));
      }
      this.#replace(index, contents);
    }
  }

  /** New bytes are zeros. */
  resize(size: number): void {
    const content = new Uint8Array(size);
    content.set(this.bytes.subarray(0, size));
    this.#sectors.length = 0;
    for (let offset = 0; offset < size; offset += SECTOR_SIZE) this.#sectors.push([content.slice(offset, offset + SECTOR_SIZE)]);
    this.#size = size;
    this.#unflushed.clear();
  }

  /** What a flush that has succeeded leaves after a power cut. */
  flushed(): void {
    this.#unflushed.clear();
  }

  /** What the disk may hold after a power cut now. */
  afterPowerCut(): DiskModel {
    const model = new DiskModel(this.bytes);
    for (const index of this.#sectors.keys()) {
      const contents = this.#unflushed.get(index) ?? this.#sectors[index];
      if (contents !== undefined) model.#sectors[index] = contents;
    }
    return model;
  }

  /** Throws where `actual` is nothing that the disk may hold at `offset`. From now on it is known what was seen. */
  expect(offset: number, actual: Uint8Array, what: string): void {
    for (const index of sectorsOf({ offset, bytes: actual })) {
      const start = Math.max(offset, index * SECTOR_SIZE);
      const seen = actual.subarray(start - offset, Math.min(offset + actual.length, (index + 1) * SECTOR_SIZE) - offset);
      const within = start - index * SECTOR_SIZE;
      const allowed = this.#sectors[index] ?? [];
      const possible = allowed.filter((content) => Buffer.compare(content.subarray(within, within + seen.length), seen) === 0);
      if (possible.length === 0)
        throw new Error(
          mismatch(
            what,
            start,
            seen,
            allowed.map((content) => content.subarray(within, within + seen.length)),
          ),
        );
      this.#sectors[index] = possible;
    }
  }

  #change(change: Change, combine: (before: readonly Uint8Array[], after: readonly Uint8Array[]) => readonly Uint8Array[]): void {
    assert(change.offset + change.bytes.length <= this.#size, "a change beyond the end of the model");
    for (const index of sectorsOf(change)) {
      const before = this.#sectors[index] ?? [];
      const after = before.map((content) => merged(content, index * SECTOR_SIZE, change));
      this.#replace(index, combine(before, after));
    }
  }

  #replace(index: number, contents: readonly Uint8Array[]): void {
    const before = this.#unflushed.get(index) ?? this.#sectors[index] ?? [];
    const distinct = unique(contents);
    this.#unflushed.set(index, unique([...before, ...distinct]));
    this.#sectors[index] = distinct;
  }

  #lengthOf(index: number): number {
    return Math.min(SECTOR_SIZE, this.#size - index * SECTOR_SIZE);
  }
}

function* sectorsOf({ offset, bytes }: Change): Generator<number> {
  for (let index = Math.floor(offset / SECTOR_SIZE); index * SECTOR_SIZE < offset + bytes.length; index++) yield index;
}

function merged(content: Uint8Array, start: number, change: Change): Uint8Array {
  const result = content.slice();
  const from = Math.max(start, change.offset);
  result.set(change.bytes.subarray(from - change.offset, start + content.length - change.offset), from - start);
  return result;
}

function unique(contents: readonly Uint8Array[]): readonly Uint8Array[] {
  return contents.filter((content, index) => contents.findIndex((other) => Buffer.compare(other, content) === 0) === index);
}

function mismatch(what: string, offset: number, seen: Uint8Array, allowed: readonly Uint8Array[]): string {
  const first = allowed[0] ?? new Uint8Array(0);
  let at = 0;
  while (at < seen.length && seen[at] === first[at]) at++;
  const expected = allowed.map((content) => describeBytes(content.subarray(at, at + 8)));
  return `${what}: at offset ${offset + at} there is ${describeBytes(seen.subarray(at, at + 8))}, and should be ${expected.join(" or ")}`;
}
