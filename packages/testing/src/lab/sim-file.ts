/** One file of a `SimStorage`: what reads see, what a power cut cannot take back, and what is in between. */

import type { PagedBytes } from "../storage/paged-bytes.ts";

/** A change that no flush covers yet: it may be on the disk after a power cut, in whole or in parts. */
export interface UnflushedChange {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The file at the moment of a power cut. `changes` are in the order of their completion, those in flight last. */
export interface FileAtCut {
  readonly durable: PagedBytes;
  readonly size: number;
  readonly changes: readonly UnflushedChange[];
}

/** `serial` counts in the order of completion, and stays with what a resize leaves of a change. */
interface SerialChange extends UnflushedChange {
  readonly serial: number;
}

/** Grows with the writes past its end; what lies between reads as zeros. */
export class SimFile {
  readonly #bytes: PagedBytes;
  /** Never changed in place, so that a cut can keep it. */
  #durable: PagedBytes;
  #unflushed: readonly SerialChange[] = [];
  #serial = 0;

  /** `content` is on the disk for good. */
  constructor(content: PagedBytes) {
    this.#bytes = content.copy();
    this.#durable = content.copy();
  }

  get size(): number {
    return this.#bytes.length;
  }

  /** A copy of all bytes. */
  snapshot(): Uint8Array {
    return this.#bytes.toBytes();
  }

  read(offset: number, into: Uint8Array): void {
    this.#bytes.read(offset, into);
  }

  /** `bytes` must not change any more. */
  write(offset: number, bytes: Uint8Array): void {
    this.#bytes.write(offset, bytes);
    this.#unflushed = [...this.#unflushed, { offset, bytes, serial: ++this.#serial }];
  }

  /** A new size is on the disk at once: file systems journal it. */
  resize(size: number): void {
    this.#bytes.resize(size);
    this.#durable = this.#durable.copy();
    this.#durable.resize(size);
    this.#unflushed = this.#unflushed
      .filter(({ offset }) => offset < size)
      .map((change) => ({ ...change, bytes: change.bytes.subarray(0, size - change.offset) }));
  }

  /** What a flush that begins now will cover; calling it makes that durable. */
  beginFlush(): () => void {
    const last = this.#serial;
    return () => this.#makeDurable(last);
  }

  /** `inFlight`: writes that have begun, and may have reached the disk in part. */
  atCut(inFlight: readonly UnflushedChange[]): FileAtCut {
    return { durable: this.#durable, size: this.size, changes: [...this.#unflushed, ...inFlight] };
  }

  /** All changes up to the one with the serial `last`. */
  #makeDurable(last: number): void {
    const covered = this.#unflushed.filter(({ serial }) => serial <= last);
    const durable = this.#durable.copy();
    for (const { offset, bytes } of covered) durable.write(offset, bytes);
    this.#durable = durable;
    this.#unflushed = this.#unflushed.filter(({ serial }) => serial > last);
  }
}
