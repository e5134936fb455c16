/** An image that keeps nothing. */

import type { BlockDriver, BlockImage, ImageLimits, OpenContext, RunStatus } from "../driver.ts";
import { BlockError } from "../errors.ts";
import type { DriverOptions } from "../options.ts";

/** Bytes, if `size` is not given. */
const DEFAULT_SIZE = 1024 * 1024 * 1024;

/** `null`: swallows writes. Reads give zeros; with `readZeroes` false they leave the buffer as it is. */
export const driver: BlockDriver<"null"> = Object.freeze({
  name: "null",
  kind: "protocol",
  optionNames: ["size", "readZeroes"],
  open,
});

async function open(options: DriverOptions["null"], context: OpenContext): Promise<BlockImage> {
  const { size = DEFAULT_SIZE, readZeroes = true } = options;
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new BlockError("INVALID_OPTION", `option 'size' of driver 'null' is ${String(size)}, not a number of bytes`, {
      node: context.nodeName,
    });
  }
  return new NullImage(size, readZeroes);
}

class NullImage implements BlockImage {
  readonly limits: ImageLimits = { requestAlignment: 1 };
  readonly size: number;
  readonly #readZeroes: boolean;

  constructor(size: number, readZeroes: boolean) {
    this.size = size;
    this.#readZeroes = readZeroes;
  }

  read(_offset: number, into: Uint8Array): void {
    if (this.#readZeroes) into.fill(0);
  }

  /** What is written is not kept. */
  write(): void {}

  writeZeroes(): void {}

  discard(): void {}

  flush(): void {}

  status(_offset: number, length: number): RunStatus {
    return { kind: this.#readZeroes ? "zero" : "data", length };
  }

  allocatedSize(): number {
    return 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
