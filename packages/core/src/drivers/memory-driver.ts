/** Opens images in memory. */

import type { BlockDriver, BlockImage, OpenContext } from "../driver.ts";
import { BlockError } from "../errors.ts";
import type { DriverOptions } from "../options.ts";
import { MemoryImage } from "./memory-image.ts";

/** `memory`: begins with a copy of `bytes`; `size` is that of `bytes`, or larger. */
export const driver: BlockDriver<"memory"> = Object.freeze({
  name: "memory",
  kind: "protocol",
  optionNames: ["size", "bytes"],
  open,
});

async function open(options: DriverOptions["memory"], context: OpenContext): Promise<BlockImage> {
  const { bytes = new Uint8Array(0), size = bytes.length } = options;
  if (!Number.isSafeInteger(size) || size < bytes.length) {
    const message = `option 'size' of driver 'memory' is ${String(size)}, but must be a whole number of bytes, at least the ${bytes.length} of 'bytes'`;
    throw new BlockError("INVALID_OPTION", message, { node: context.nodeName });
  }
  return new MemoryImage(size, bytes, !context.readOnly);
}
