/** An image that passes every request on: what filters change is their own. */

import type { BlockChild, BlockImage, ImageLimits, IoOptions, MaybePromise, ResizeOptions, ZeroOptions } from "@coblock/core";

/** Block status and events pass core by themselves, since the child's role is "filtered". */
export class FilteredImage implements BlockImage {
  readonly limits: ImageLimits = { requestAlignment: 1 };
  readonly growable: boolean;
  protected readonly child: BlockChild;

  constructor(child: BlockChild) {
    this.child = child;
    this.growable = child.growable;
  }

  get size(): number {
    return this.child.size;
  }

  get compressionUnit(): number | undefined {
    return this.child.node.compressionUnit;
  }

  read(offset: number, into: Uint8Array, options?: IoOptions): MaybePromise<void> {
    return this.child.read(offset, into, options);
  }

  write(offset: number, from: Uint8Array, options?: IoOptions): MaybePromise<void> {
    return this.child.write(offset, from, options);
  }

  writeCompressed(offset: number, from: Uint8Array, options?: IoOptions): MaybePromise<void> {
    return this.child.node.writeCompressed(offset, from, options);
  }

  writeZeroes(offset: number, length: number, options?: ZeroOptions): MaybePromise<void> {
    return this.child.writeZeroes(offset, length, options);
  }

  discard(offset: number, length: number, options?: IoOptions): MaybePromise<void> {
    return this.child.discard(offset, length, options);
  }

  flush(options?: IoOptions): MaybePromise<void> {
    return this.child.flush(options);
  }

  resize(size: number, options: ResizeOptions): Promise<void> {
    return this.child.resize(size, options);
  }

  /** The child is the node's to close. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
