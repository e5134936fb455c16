/** Sends requests to two images and compares what they read: `blkverify`. */

import {
  BlockError,
  hex,
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
import { FilteredImage } from "../filtered-image.ts";
import { settle } from "../settle.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    blkverify: BlkverifyOptions;
  }
}

/** QEMU's `BlockdevOptionsBlkverify`. */
export interface BlkverifyOptions {
  /** What is put to the test. */
  readonly test: NodeOptions;
  /** What is trusted; best a raw image. */
  readonly raw: NodeOptions;
}

export const driver: BlockDriver<"blkverify"> = Object.freeze({
  name: "blkverify",
  kind: "filter",
  optionNames: ["test", "raw"],
  open: async ({ test, raw }: BlkverifyOptions, context: OpenContext): Promise<BlockImage> => {
    const trusted = await context.child("raw", "data", raw);
    const tested = await context.child("test", "filtered", test);
    return new VerifyingImage(tested, trusted, context.nodeName);
  },
});

class VerifyingImage extends FilteredImage {
  readonly #trusted: BlockChild;
  readonly #nodeName: string;

  constructor(tested: BlockChild, trusted: BlockChild, nodeName: string) {
    super(tested);
    this.#trusted = trusted;
    this.#nodeName = nodeName;
  }

  /** Throws IO where the two differ. */
  override async read(offset: number, into: Uint8Array, options?: IoOptions): Promise<void> {
    const expected = new Uint8Array(into.length);
    await settle([() => super.read(offset, into, options), () => this.#trusted.read(offset, expected, options)]);
    const wrong = into.findIndex((byte, index) => byte !== expected[index]);
    if (wrong < 0) return;
    const message = `blkverify: read offset=${offset} bytes=${into.length} contents mismatch at offset ${offset + wrong}: ${hex(into[wrong] ?? 0)} instead of ${hex(expected[wrong] ?? 0)}`;
    throw new BlockError("IO", message, { node: this.#nodeName, offset: offset + wrong });
  }

  override write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    return settle([() => super.write(offset, from, options), () => this.#trusted.write(offset, from, options)]);
  }

  override writeCompressed(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    return settle([() => super.writeCompressed(offset, from, options), () => this.#trusted.write(offset, from, options)]);
  }

  override writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    return settle([() => super.writeZeroes(offset, length, options), () => this.#trusted.writeZeroes(offset, length, options)]);
  }

  /** What it leaves behind is each one's own choice, so nothing is discarded. */
  override discard(): void {}

  override flush(options?: IoOptions): Promise<void> {
    return settle([() => super.flush(options), () => this.#trusted.flush(options)]);
  }

  override async resize(size: number, options: ResizeOptions): Promise<void> {
    await super.resize(size, options);
    await this.#trusted.resize(size, options);
  }

  status(offset: number, length: number): RunStatus | Promise<RunStatus> {
    return this.child.status(offset, length);
  }
}
