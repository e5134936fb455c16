/** Keeps what is read from backing files in the image above them: `copy-on-read`. */

import {
  BlockError,
  CoRwLock,
  isZero,
  type BlockChild,
  type BlockDriver,
  type BlockImage,
  type IoOptions,
  type NodeOptions,
  type OpenContext,
  type ZeroOptions,
} from "@coblock/core";
import { FilteredImage } from "./filtered-image.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    "copy-on-read": CopyOnReadOptions;
  }
}

/** QEMU's `BlockdevOptionsCor`. */
export interface CopyOnReadOptions {
  readonly file: NodeOptions;
}

export const driver: BlockDriver<"copy-on-read"> = Object.freeze({
  name: "copy-on-read",
  kind: "filter",
  optionNames: ["file"],
  open: async ({ file }: CopyOnReadOptions, context: OpenContext): Promise<BlockImage> => {
    const child = await context.child("file", "filtered", file);
    if (context.readOnly) throw new BlockError("READ_ONLY", "Block node is read-only", { node: context.nodeName });
    return new CopyOnReadImage(child, new CoRwLock(`${context.nodeName} copies`, context.clock));
  },
});

/** A copy is a read and a write with no other write between them: it holds the lock alone, and what changes the image shares it. */
class CopyOnReadImage extends FilteredImage {
  readonly #copies: CoRwLock;

  constructor(child: BlockChild, copies: CoRwLock) {
    super(child);
    this.#copies = copies;
  }

  override async read(offset: number, into: Uint8Array, options?: IoOptions): Promise<void> {
    for (let done = 0; done < into.length;) {
      const run = await this.child.status(offset + done, into.length - done);
      const piece = into.subarray(done, done + run.length);
      if (run.kind === "unallocated") await this.#copy(offset + done, piece, options);
      else await this.child.read(offset + done, piece, options);
      done += run.length;
    }
  }

  override async write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    using _shared = await this.#copies.read(options);
    await super.write(offset, from, options);
  }

  override async writeCompressed(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    using _shared = await this.#copies.read(options);
    await super.writeCompressed(offset, from, options);
  }

  override async writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    using _shared = await this.#copies.read(options);
    await super.writeZeroes(offset, length, options);
  }

  override async discard(offset: number, length: number, options?: IoOptions): Promise<void> {
    using _shared = await this.#copies.read(options);
    await super.discard(offset, length, options);
  }

  async #copy(offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
    using _alone = await this.#copies.write(options);
    await this.child.read(offset, into, options);
    // Written by somebody else meanwhile: what was read is the newest, and writing it again changes nothing.
    if (isZero(into)) await this.child.writeZeroes(offset, into.length);
    else await this.child.write(offset, into);
  }
}
