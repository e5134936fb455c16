/** Takes more space of a growing file than it needs yet, and gives it back when it closes: `preallocate`. */

import {
  alignUp,
  BlockError,
  CoMutex,
  isPowerOfTwo,
  type BlockChild,
  type BlockDriver,
  type BlockImage,
  type IoOptions,
  type NodeOptions,
  type OpenContext,
  type ResizeOptions,
  type RunStatus,
  type ZeroOptions,
} from "@coblock/core";
import { FilteredImage } from "./filtered-image.ts";
import { wholeNumber } from "./option-values.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    preallocate: PreallocateOptions;
  }
}

/** QEMU's `BlockdevOptionsPreallocate`. */
export interface PreallocateOptions {
  readonly file: NodeOptions;
  /** Bytes; the file ends at a multiple of it. Default 1 MiB. */
  readonly preallocAlign?: number;
  /** Bytes taken at a time. Default 128 MiB. */
  readonly preallocSize?: number;
}

const MIB = 1024 ** 2;
const SECTOR_LENGTH = 512;

export const driver: BlockDriver<"preallocate"> = Object.freeze({
  name: "preallocate",
  kind: "filter",
  optionNames: ["file", "preallocAlign", "preallocSize"],
  open,
});

async function open(options: PreallocateOptions, context: OpenContext): Promise<BlockImage> {
  const align = wholeNumber(options.preallocAlign, "prealloc-align", 1) ?? MIB;
  const step = wholeNumber(options.preallocSize, "prealloc-size", 1) ?? 128 * MIB;
  const wrong = align % SECTOR_LENGTH !== 0 ? `aligned to ${SECTOR_LENGTH}` : isPowerOfTwo(align) ? undefined : "a power of two";
  if (wrong !== undefined) throw new BlockError("INVALID_OPTION", `prealloc-align parameter of preallocate filter is not ${wrong}`);
  const child = await context.child("file", "filtered", options.file);
  if (context.readOnly) return new FilteredImage(child);
  return new PreallocatingImage(child, { align, step, growing: new CoMutex(`${context.nodeName} growth`, context.clock) });
}

interface Growth {
  readonly align: number;
  readonly step: number;
  readonly growing: CoMutex;
}

/** The file may be larger than what `size` tells: the rest is zeros that nobody has asked for yet. */
class PreallocatingImage extends FilteredImage {
  readonly #growth: Growth;
  #end: number;

  constructor(child: BlockChild, growth: Growth) {
    super(child);
    this.#growth = growth;
    this.#end = child.size;
  }

  override get size(): number {
    return this.#end;
  }

  override async write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    await this.#grow(offset + from.length);
    await super.write(offset, from, options);
    this.#end = Math.max(this.#end, offset + from.length);
  }

  override async writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    await this.#grow(offset + length);
    await super.writeZeroes(offset, length, options);
    this.#end = Math.max(this.#end, offset + length);
  }

  override async resize(size: number, options: ResizeOptions): Promise<void> {
    using _alone = await this.#growth.growing.lock();
    await this.#giveBack();
    await this.child.resize(size, options);
    this.#end = size;
  }

  status(offset: number, length: number): Promise<RunStatus> {
    return Promise.resolve(this.child.status(offset, length));
  }

  inspect(): object {
    return { preallocated: this.child.size - this.#end };
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.#giveBack();
  }

  async #giveBack(): Promise<void> {
    if (this.child.size > this.#end) await this.child.resize(this.#end, { preallocation: "off", shrink: true });
  }

  /** A host that cannot take space in advance makes the file longer all the same. */
  async #grow(end: number): Promise<void> {
    if (end <= this.child.size) return;
    const { align, step, growing } = this.#growth;
    using _alone = await growing.lock();
    if (end <= this.child.size) return;
    await this.child.resize(alignUp(end + step, align), { preallocation: "falloc", shrink: false });
  }
}
