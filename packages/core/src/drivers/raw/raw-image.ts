/** A window of a file as an image. */

import type { BlockEvent } from "../../block-event.ts";
import type { BlockChild } from "../../child.ts";
import type { BlockImage, HostSpan, ImageLimits, IoOptions, MaybePromise, ResizeOptions, RunStatus, ZeroOptions } from "../../driver.ts";
import { BlockError } from "../../errors.ts";
import { FIRST_SECTOR_LENGTH, type FirstSectorGuard } from "./first-sector-guard.ts";

export interface RawImageParts {
  readonly file: BlockChild;
  /** Bytes of the file before the image. */
  readonly offset: number;
  /** Bytes; absent: up to the end of the file, whose growth is the image's. */
  readonly size: number | undefined;
  /** Present where the format was guessed. */
  readonly guard: FirstSectorGuard | undefined;
}

/** Alignment and emulation are the child's: what arrives here goes on as it is. */
export class RawImage implements BlockImage {
  readonly limits: ImageLimits = { requestAlignment: 1 };
  readonly growable: boolean;
  /** What is told to the image is told to its file. */
  readonly event?: (name: BlockEvent) => MaybePromise<void>;
  readonly #file: BlockChild;
  readonly #offset: number;
  readonly #fixedSize: number | undefined;
  readonly #guard: FirstSectorGuard | undefined;

  constructor(parts: RawImageParts) {
    this.#file = parts.file;
    this.#offset = parts.offset;
    this.#fixedSize = parts.size;
    this.#guard = parts.guard;
    this.growable = parts.size === undefined && parts.file.growable;
    if (parts.file.listens) this.event = (name) => parts.file.event(name);
  }

  get size(): number {
    return this.#fixedSize ?? this.#file.size - this.#offset;
  }

  read(offset: number, into: Uint8Array, options?: IoOptions): MaybePromise<void> {
    if (this.#file.listens) return this.#announced("read_aio", () => this.#file.read(this.#offset + offset, into, options));
    return this.#file.read(this.#offset + offset, into, options);
  }

  write(offset: number, from: Uint8Array, options?: IoOptions): MaybePromise<void> {
    const guard = this.#guardOf(offset);
    if (guard !== undefined) return guard.write(offset, from, options);
    if (this.#file.listens) return this.#announced("write_aio", () => this.#file.write(this.#offset + offset, from, options));
    return this.#file.write(this.#offset + offset, from, options);
  }

  writeZeroes(offset: number, length: number, options?: ZeroOptions): MaybePromise<void> {
    const guard = this.#guardOf(offset);
    if (guard !== undefined) return guard.writeZeroes(offset, length, options);
    return this.#file.writeZeroes(this.#offset + offset, length, options);
  }

  discard(offset: number, length: number, options?: IoOptions): MaybePromise<void> {
    // Where a first sector is watched it is kept: what a discard leaves behind cannot be judged, and it need not be done.
    const skipped = this.#guardOf(offset) === undefined ? 0 : Math.min(FIRST_SECTOR_LENGTH - offset, length);
    if (skipped === length) return undefined;
    return this.#file.discard(this.#offset + offset + skipped, length - skipped, options);
  }

  flush(options?: IoOptions): MaybePromise<void> {
    return this.#file.listens ? this.#announceFlush(options) : this.#file.flush(options);
  }

  status(offset: number, length: number): MaybePromise<RunStatus> {
    const childOffset = this.#offset + offset;
    const run = this.#file.status(childOffset, length);
    return run instanceof Promise ? run.then((later) => this.#located(childOffset, later)) : this.#located(childOffset, run);
  }

  async resize(size: number, options: ResizeOptions): Promise<void> {
    if (this.#fixedSize !== undefined) {
      throw new BlockError("NOT_ALLOWED", `Cannot resize '${this.#file.fileName}': its option 'size' fixes it at ${this.#fixedSize} bytes`);
    }
    if (this.#guard !== undefined && size < FIRST_SECTOR_LENGTH) await this.#guard.resize(size, options);
    else await this.#file.resize(this.#offset + size, options);
  }

  inspect(): object {
    return { offset: this.#offset, size: this.size, firstSectorWatched: this.#guard !== undefined };
  }

  /** The child is the node's to close. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #announced(event: BlockEvent, work: () => MaybePromise<void>): Promise<void> {
    await this.#file.event(event);
    await work();
  }

  async #announceFlush(options: IoOptions | undefined): Promise<void> {
    await this.#file.event("flush_to_os");
    await this.#announced("flush_to_disk", () => this.#file.flush(options));
  }

  /** Whom a change at `offset` has to be shown to. */
  #guardOf(offset: number): FirstSectorGuard | undefined {
    return offset < FIRST_SECTOR_LENGTH ? this.#guard : undefined;
  }

  /** The bytes are where the child has them, also those of a zero run: its space may be reserved. What a format below leaves to its backing file is data here. */
  #located(childOffset: number, run: RunStatus): RunStatus {
    const location: HostSpan = { child: this.#file, childOffset, length: run.length };
    const { length, holeBelow } = run;
    return { kind: run.kind === "zero" ? "zero" : "data", length, location, ...(holeBelow === undefined ? {} : { holeBelow }) };
  }
}
