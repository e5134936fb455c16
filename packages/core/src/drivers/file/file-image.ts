/** A file of the host as an image. */

import type { Clock } from "../../coroutine/clock.ts";
import type { BlockImage, ImageLimits, MaybePromise, ResizeOptions, RunStatus, ZeroOptions } from "../../driver.ts";
import { BlockError } from "../../errors.ts";
import type { HostCalls } from "../../host/host-calls.ts";
import { FileExtents } from "./file-extents.ts";
import { FileLength } from "./file-length.ts";
import { FileReader } from "./file-reader.ts";
import { FileWriter } from "./file-writer.ts";
import { FileZeroes } from "./file-zeroes.ts";
import type { HostFile } from "./host-file.ts";
import { growFile } from "./preallocate.ts";
import { Promptness } from "./promptness.ts";

export interface FileImageParts {
  readonly file: HostFile;
  readonly calls: HostCalls;
  readonly clock: Clock;
  readonly readOnly: boolean;
  /** Whether the image locks are held. */
  readonly locked: boolean;
}

/** Bytes are addressed singly: the host's page cache does what alignment there is. */
export class FileImage implements BlockImage {
  readonly limits: ImageLimits = { requestAlignment: 1 };
  readonly growable: boolean;
  readonly identity: string;
  readonly #file: HostFile;
  readonly #calls: HostCalls;
  readonly #locked: boolean;
  readonly #length: FileLength;
  readonly #reader: FileReader;
  readonly #writer: FileWriter;
  readonly #zeroes: FileZeroes;
  readonly #extents: FileExtents;
  #closing: Promise<void> | undefined;

  constructor(parts: FileImageParts) {
    const { file, calls } = parts;
    const promptness = new Promptness(parts.clock);
    this.growable = !parts.readOnly && !file.isDevice;
    this.identity = file.identity;
    this.#file = file;
    this.#calls = calls;
    this.#locked = parts.locked;
    this.#length = new FileLength(file.initialSize);
    this.#reader = new FileReader(file, calls);
    this.#writer = new FileWriter(file, this.#length, promptness);
    this.#zeroes = new FileZeroes({ file, calls, length: this.#length, writer: this.#writer, promptness });
    this.#extents = new FileExtents(file, calls);
  }

  get size(): number {
    return this.#length.size;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return this.#reader.read(offset, into);
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    return this.#writer.write(offset, from);
  }

  writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    return this.#makingHoles(this.#zeroes.writeZeroes(offset, length, options?.mayUnmap === true));
  }

  discard(offset: number, length: number): Promise<void> {
    return this.#makingHoles(this.#zeroes.discard(offset, length));
  }

  status(offset: number, length: number): RunStatus {
    return this.#extents.status(offset, length);
  }

  flush(): Promise<void> {
    return this.#file.sync();
  }

  async resize(size: number, options: ResizeOptions): Promise<void> {
    const from = this.#file.sizeNow();
    const { preallocation, signal } = options;
    if (this.#file.isDevice) return this.#resizeDevice(size);
    if (size < from) this.#checkShrink(size, options);
    try {
      await this.#makingHoles(growFile(this.#calls, this.#file, { from, to: size, preallocation, signal }));
    } finally {
      this.#length.set(this.#file.sizeNow());
    }
  }

  allocatedSize(): number | undefined {
    // What a device takes is not known; /dev/null takes nothing.
    return this.#file.isDevice && this.#file.initialSize > 0 ? undefined : this.#file.allocatedNow();
  }

  inspect(): object {
    return { file: this.#file.name, size: this.size, locked: this.#locked, readsWithoutWaiting: this.#reader.triesNow };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#file.close();
    return this.#closing;
  }

  /** Until it has ended, data that is known is still a right answer. */
  async #makingHoles(work: Promise<void>): Promise<void> {
    try {
      await work;
    } finally {
      this.#extents.forget();
    }
  }

  #checkShrink(size: number, options: ResizeOptions): void {
    const { nodeName: node, name } = this.#file;
    if (!options.shrink)
      throw new BlockError("NOT_ALLOWED", `'${name}': shrinking from ${this.size} to ${size} bytes loses data and was not asked for`, {
        node,
      });
    if (options.preallocation !== "off")
      throw new BlockError("INVALID_OPTION", `'${name}': Preallocation can only be used for growing images`, { node });
  }

  /** A device stays as it is; an image within may be said to be smaller. */
  #resizeDevice(size: number): void {
    if (size <= this.size) return;
    throw new BlockError("NO_SPACE", `'${this.#file.name}': Cannot grow device files: it has ${this.size} bytes, not ${size}`, {
      node: this.#file.nodeName,
    });
  }
}
