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
  /** One of the contents that the disk may have. */
  #bytes: Uint8Array;
  /** For sectors that may hold more than that: all of it. */
  readonly #uncertain: Map<number, readonly Uint8Array[]> = new Map();
  /** Whole sectors as they may have been since the last flush, besides what they are now. */
  #earlier: Change[] = [];

  constructor(content: Uint8Array) {
    this.#bytes = new Uint8Array(content);
  }

  static empty(size: number): DiskModel {
    return new DiskModel(new Uint8Array(size));
  }

  get size(): number {
    return this.#bytes.length;
  }

  /** One of the contents that the disk may have. */
  get bytes(): Uint8Array {
    return this.#bytes.slice();
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#remember(offset, bytes.length);
    for (const index of this.#uncertainOf({ offset, bytes }))
      this.#leave(
        index,
        this.#contentsOf(index).map((content) => merged(content, index * SECTOR_SIZE, { offset, bytes })),
      );
    this.#bytes.set(bytes, offset);
  }

  zero(offset: number, length: number): void {
    this.write(offset, new Uint8Array(length));
  }

  /** A change that failed, or that may be left undone: each sector is as it was, or as it should be. */
  attempt(offset: number, bytes: Uint8Array): void {
    this.#remember(offset, bytes.length);
    for (const index of sectorsOf({ offset, bytes })) {
      const before = this.#contentsOf(index);
      this.#leave(index, [...before, ...before.map((content) => merged(content, index * SECTOR_SIZE, { offset, bytes }))]);
    }
  }

  /** Changes of whole sectors that ran at the same time: each sector is as one of them left it. */
  writeTogether(changes: readonly Change[]): void {
    for (const { offset, bytes } of changes) this.#remember(offset, bytes.length);
    const touched = new Map<number, Uint8Array[]>();
    for (const { offset, bytes } of changes) {
      for (const index of sectorsOf({ offset, bytes })) {
        const start = index * SECTOR_SIZE - offset;
        const content = bytes.slice(start, start + this.#lengthOf(index));
        touched.set(index, [...(touched.get(index) ?? []), content]);
      }
    }
    for (const [index, contents] of touched) this.#leave(index, contents);
  }

  /** New bytes are zeros. */
  resize(size: number): void {
    const content = new Uint8Array(size);
    content.set(this.#bytes.subarray(0, size));
    this.#bytes = content;
    this.#uncertain.clear();
    this.#earlier = [];
  }

  /** What a flush that has succeeded leaves after a power cut. */
  flushed(): void {
    this.#earlier = [];
  }

  /** What the disk may hold after a power cut now: for each sector, all that it held since the last flush. */
  afterPowerCut(): DiskModel {
    const model = new DiskModel(this.#bytes);
    for (const [index, contents] of this.#uncertain) model.#hold(index, contents);
    for (const { offset, bytes } of this.#earlier) {
      for (const index of sectorsOf({ offset, bytes })) {
        const start = index * SECTOR_SIZE - offset;
        model.#hold(index, [...model.#contentsOf(index), bytes.subarray(start, start + this.#lengthOf(index))]);
      }
    }
    return model;
  }

  /** Throws where `actual` is nothing that the disk may hold at `offset`. From now on it is known what was seen. */
  expect(offset: number, actual: Uint8Array, what: string): void {
    const end = offset + actual.length;
    let from = offset;
    for (const index of this.#uncertainOf({ offset, bytes: actual })) {
      const start = Math.max(offset, index * SECTOR_SIZE);
      const next = Math.min(end, (index + 1) * SECTOR_SIZE);
      expectOne(actual.subarray(from - offset, start - offset), [this.#bytes.subarray(from, start)], from, what);
      const seen = actual.subarray(start - offset, next - offset);
      this.#hold(index, expectOne(seen, this.#contentsOf(index), start, what, start - index * SECTOR_SIZE));
      from = next;
    }
    expectOne(actual.subarray(from - offset), [this.#bytes.subarray(from, end)], from, what);
  }

  #remember(offset: number, length: number): void {
    assert(offset + length <= this.size, "a change beyond the end of the model");
    const start = offset - (offset % SECTOR_SIZE);
    const bytes = this.#bytes.slice(start, Math.ceil((offset + length) / SECTOR_SIZE) * SECTOR_SIZE);
    this.#earlier.push({ offset: start, bytes });
    for (const index of this.#uncertainOf({ offset: start, bytes }))
      for (const content of this.#contentsOf(index)) this.#earlier.push({ offset: index * SECTOR_SIZE, bytes: content });
  }

  /** A change may have left any of these, and where a read tells which one, a power cut may yet bring another one back. */
  #leave(index: number, contents: readonly Uint8Array[]): void {
    this.#hold(index, contents);
    for (const content of this.#uncertain.get(index) ?? []) this.#earlier.push({ offset: index * SECTOR_SIZE, bytes: content });
  }

  #hold(index: number, contents: readonly Uint8Array[]): void {
    const distinct = unique(contents);
    const [first] = distinct;
    assert(first !== undefined, "a sector holds something");
    this.#bytes.set(first, index * SECTOR_SIZE);
    if (distinct.length > 1) this.#uncertain.set(index, distinct);
    else this.#uncertain.delete(index);
  }

  /** In order. */
  #uncertainOf(change: Change): readonly number[] {
    if (this.#uncertain.size === 0) return [];
    return [...sectorsOf(change)].filter((index) => this.#uncertain.has(index));
  }

  /** Nobody changes them. */
  #contentsOf(index: number): readonly Uint8Array[] {
    return this.#uncertain.get(index) ?? [this.#bytes.slice(index * SECTOR_SIZE, (index + 1) * SECTOR_SIZE)];
  }

  #lengthOf(index: number): number {
    return Math.min(SECTOR_SIZE, this.size - index * SECTOR_SIZE);
  }
}

/** Those of the contents that show `seen` from `within` on. */
function expectOne(seen: Uint8Array, contents: readonly Uint8Array[], offset: number, what: string, within = 0): readonly Uint8Array[] {
  const shown = (content: Uint8Array): Uint8Array => content.subarray(within, within + seen.length);
  const possible = contents.filter((content) => Buffer.compare(shown(content), seen) === 0);
  if (possible.length > 0) return possible;
  throw new Error(mismatch(what, offset, seen, contents.map(shown)));
}

function* sectorsOf({ offset, bytes }: Change): Generator<number> {
  for (let index = Math.floor(offset / SECTOR_SIZE); index * SECTOR_SIZE < offset + bytes.length; index++) yield index;
}

/** What a sector that begins at `start` holds after the change. */
function merged(content: Uint8Array, start: number, { offset, bytes }: Change): Uint8Array {
  const result = content.slice();
  const from = Math.max(start, offset);
  result.set(bytes.subarray(from - offset, start + content.length - offset), from - start);
  return result;
}

function unique(contents: readonly Uint8Array[]): readonly Uint8Array[] {
  if (contents.length === 1) return contents;
  return contents.filter((content, index) => contents.findIndex((other) => Buffer.compare(other, content) === 0) === index);
}

function mismatch(what: string, offset: number, seen: Uint8Array, allowed: readonly Uint8Array[]): string {
  const first = allowed[0] ?? new Uint8Array(0);
  let at = 0;
  while (at < seen.length && seen[at] === first[at]) at++;
  const expected = allowed.map((content) => describeBytes(content.subarray(at, at + 8)));
  return `${what}: at offset ${offset + at} there is ${describeBytes(seen.subarray(at, at + 8))}, and should be ${expected.join(" or ")}`;
}
