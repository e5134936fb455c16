/** Stores what is written compressed: `compress`. */

import {
  BlockError,
  type BlockChild,
  type BlockDriver,
  type BlockImage,
  type ImageLimits,
  type IoOptions,
  type NodeOptions,
  type OpenContext,
} from "@coblock/core";
import { FilteredImage } from "./filtered-image.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    compress: CompressOptions;
  }
}

/** The file is an image of a format that compresses. */
export interface CompressOptions {
  readonly file: NodeOptions;
}

export const driver: BlockDriver<"compress"> = Object.freeze({
  name: "compress",
  kind: "filter",
  optionNames: ["file"],
  open: async ({ file }: CompressOptions, context: OpenContext): Promise<BlockImage> => {
    const child = await context.child("file", "filtered", file);
    const unit = child.node.compressionUnit;
    if (unit === undefined)
      throw new BlockError("UNSUPPORTED_FEATURE", `Compression is not supported for underlying format: ${child.node.driver}`);
    return new CompressedImage(child, unit);
  },
});

/** Requests are whole units: core reads and fills up what is less. */
class CompressedImage extends FilteredImage {
  override readonly limits: ImageLimits;

  constructor(child: BlockChild, unit: number) {
    super(child);
    this.limits = { requestAlignment: unit };
  }

  override write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    return this.child.node.writeCompressed(offset, from, options);
  }
}
