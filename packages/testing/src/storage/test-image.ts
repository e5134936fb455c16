/** An open file of a `TestStorage`, as the graph sees it. */

import type { BlockImage, ImageLimits, MaybePromise, ResizeOptions, RunStatus } from "@coblock/core";
import type { StorageOperation } from "./operation.ts";
import type { TestFile } from "./test-file.ts";

export interface TestImageParts {
  readonly name: string;
  readonly file: TestFile;
  readonly limits: ImageLimits;
  /** The byte that a discarded range is filled with. */
  readonly discardByte: number;
  perform(operation: StorageOperation, effect: () => void): MaybePromise<void>;
  readonly onClosed: () => void;
}

/** Effects happen when operations complete: a read sees what is there at its end, a write's buffer is looked at as late as that. */
export class TestImage implements BlockImage {
  readonly #parts: TestImageParts;
  readonly #file: TestFile;
  readonly limits: ImageLimits;
  readonly growable = true;
  #closed = false;

  constructor(parts: TestImageParts) {
    this.#parts = parts;
    this.#file = parts.file;
    this.limits = parts.limits;
  }

  get size(): number {
    return this.#file.size;
  }

  get identity(): string {
    return this.#parts.name;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return this.#perform("read", offset, into.length, () => this.#file.read(offset, into));
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    return this.#perform("write", offset, from.length, () => this.#file.write(offset, from));
  }

  writeZeroes(offset: number, length: number): MaybePromise<void> {
    return this.#perform("write zeroes", offset, length, () => this.#file.fill(offset, length, 0));
  }

  discard(offset: number, length: number): MaybePromise<void> {
    return this.#perform("discard", offset, length, () => this.#file.fill(offset, length, this.#parts.discardByte));
  }

  /** Covers what has completed when it begins. */
  flush(): MaybePromise<void> {
    const snapshot = this.#file.snapshot();
    return this.#perform("flush", 0, 0, () => this.#file.makeDurable(snapshot));
  }

  async resize(size: number, _options: ResizeOptions): Promise<void> {
    await this.#perform("resize", size, 0, () => this.#file.resize(size));
  }

  status(offset: number, length: number): RunStatus {
    const bytes = new Uint8Array(length);
    this.#file.read(offset, bytes);
    const zero = bytes[0] === 0;
    let end = 1;
    while (end < length && (bytes[end] === 0) === zero) end++;
    return { kind: zero ? "zero" : "data", length: end };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.onClosed();
  }

  #perform(kind: StorageOperation["kind"], offset: number, length: number, effect: () => void): MaybePromise<void> {
    if (this.#closed) throw new Error(`assertion failed: ${kind} on ${this.#parts.name} after it was closed`);
    return this.#parts.perform({ kind, file: this.#parts.name, offset, length }, effect);
  }
}
