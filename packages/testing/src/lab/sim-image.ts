/** An open file of a `SimStorage`, as the graph sees it. */

import type { BlockEvent, BlockImage, ImageLimits, MaybePromise, ResizeOptions, RunStatus } from "@coblock/core";
import type { StorageOperation } from "../storage/operation.ts";
import { SECTOR_SIZE } from "./sector-content.ts";
import type { SimFile } from "./sim-file.ts";

/** One operation, and what it does when it takes effect. */
export interface SimOperation extends StorageOperation {
  /** What a write brings, as it was when the operation began. */
  readonly bytes?: Uint8Array;
  /** Does the first `length` bytes of it. */
  apply(length: number): void;
}

export interface SimImageParts {
  readonly name: string;
  readonly file: SimFile;
  readonly limits: ImageLimits;
  /** The byte that a discarded range is filled with. */
  readonly discardByte: number;
  perform(operation: SimOperation): MaybePromise<void>;
  readonly event?: (name: BlockEvent) => MaybePromise<void>;
  readonly onClosed: () => void;
}

/** Effects happen when operations complete. A write must not change its bytes while it is in flight: that is looked at. */
export class SimImage implements BlockImage {
  readonly #parts: SimImageParts;
  readonly #file: SimFile;
  readonly limits: ImageLimits;
  readonly growable = true;
  /** Absent where nobody hears. */
  readonly event?: (name: BlockEvent) => MaybePromise<void>;
  #closed = false;

  constructor(parts: SimImageParts) {
    this.#parts = parts;
    this.#file = parts.file;
    this.limits = parts.limits;
    if (parts.event !== undefined) this.event = parts.event;
  }

  get size(): number {
    return this.#file.size;
  }

  get identity(): string {
    return this.#parts.name;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return this.#perform("read", offset, into.length, { apply: (length) => this.#file.read(offset, into.subarray(0, length)) });
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    // A Buffer's `slice` is no copy.
    const bytes = new Uint8Array(from);
    const apply = (length: number): void => {
      if (Buffer.compare(bytes, from) !== 0) throw changedInFlight(this.#parts.name, offset, from.length);
      this.#file.write(offset, bytes.subarray(0, length));
    };
    return this.#perform("write", offset, from.length, { bytes, apply });
  }

  writeZeroes(offset: number, length: number): MaybePromise<void> {
    return this.#fill("write zeroes", offset, new Uint8Array(length));
  }

  discard(offset: number, length: number): MaybePromise<void> {
    return this.#fill("discard", offset, new Uint8Array(length).fill(this.#parts.discardByte));
  }

  /** Covers what has completed when it begins. */
  flush(): MaybePromise<void> {
    const makeDurable = this.#file.beginFlush();
    return this.#perform("flush", 0, 0, { apply: makeDurable });
  }

  async resize(size: number, _options: ResizeOptions): Promise<void> {
    await this.#perform("resize", size, 0, { apply: () => this.#file.resize(size) });
  }

  /** By sectors: a run for every byte that happens to be zero would help nobody. */
  status(offset: number, length: number): RunStatus {
    const bytes = new Uint8Array(length);
    this.#file.read(offset, bytes);
    const partEnd = (start: number): number => Math.min(length, start + SECTOR_SIZE - ((offset + start) % SECTOR_SIZE));
    const isZero = (start: number): boolean => bytes.subarray(start, partEnd(start)).every((byte) => byte === 0);
    const zero = isZero(0);
    let end = partEnd(0);
    while (end < length && isZero(end) === zero) end = partEnd(end);
    return { kind: zero ? "zero" : "data", length: end };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.onClosed();
  }

  #fill(kind: "write zeroes" | "discard", offset: number, bytes: Uint8Array): MaybePromise<void> {
    return this.#perform(kind, offset, bytes.length, { bytes, apply: (length) => this.#file.write(offset, bytes.subarray(0, length)) });
  }

  #perform(
    kind: StorageOperation["kind"],
    offset: number,
    length: number,
    effect: Pick<SimOperation, "bytes" | "apply">,
  ): MaybePromise<void> {
    if (this.#closed) throw new Error(`assertion failed: ${kind} on ${this.#parts.name} after it was closed`);
    return this.#parts.perform({ kind, file: this.#parts.name, offset, length, ...effect });
  }
}

function changedInFlight(name: string, offset: number, length: number): Error {
  return new Error(
    `assertion failed: the bytes of a write of ${length} bytes at offset ${offset} of ${name} changed while it was in flight`,
  );
}
