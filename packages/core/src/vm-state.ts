/** Room for the state of a machine that an image keeps beside its disk: what a format does for it, and how its users reach it. */

import { BlockError } from "./errors.ts";

/**
 * Part of an image whose format has such room. Called in exclusive mode; `write` with the image prepared for writing. `position` counts
 * bytes from the beginning of the state. What was never written reads as zeros.
 */
export interface ImageVmState {
  read(position: number, into: Uint8Array): Promise<void>;
  /** Throws OUT_OF_RANGE for more than the format has room for. */
  write(position: number, from: Uint8Array): Promise<void>;
}

/** What the state beside a node's disk needs of the node. */
export interface NodeVmStateParts {
  readonly fileName: string;
  readonly driver: string;
  readonly nodeName: string;
  readonly readOnly: boolean;
  readonly vmState: ImageVmState | undefined;
  /** Where the node itself has none: of the file below, or of what is filtered. */
  readonly below: () => NodeVmState | undefined;
  exclusive<T>(section: () => Promise<T>): Promise<T>;
}

/**
 * The state of a machine beside a node's disk; snapshots inside the image keep it with the disk. Every call waits until no request is in
 * flight, and requests wait for it. Rejects with UNSUPPORTED_FEATURE where nothing below has room for it, READ_ONLY, INVALID_OPTION.
 */
export class NodeVmState {
  readonly #parts: NodeVmStateParts;

  constructor(parts: NodeVmStateParts) {
    this.#parts = parts;
  }

  /** Fills all of `into`. */
  async read(position: number, into: Uint8Array): Promise<void> {
    this.#checkPosition(position, into.length);
    const { vmState, exclusive } = this.#parts;
    if (vmState === undefined) return this.#below().read(position, into);
    return exclusive(() => vmState.read(position, into));
  }

  /** On stable storage after the next flush of the node. */
  async write(position: number, from: Uint8Array): Promise<void> {
    this.#checkPosition(position, from.length);
    const { vmState, exclusive, readOnly, fileName, nodeName } = this.#parts;
    if (readOnly) throw new BlockError("READ_ONLY", `${fileName} was opened read-only`, { node: nodeName });
    if (vmState === undefined) return this.#below().write(position, from);
    return exclusive(() => vmState.write(position, from));
  }

  #below(): NodeVmState {
    const { below, fileName, driver, nodeName } = this.#parts;
    const found = below();
    if (found !== undefined) return found;
    throw new BlockError("UNSUPPORTED_FEATURE", `${fileName}: driver '${driver}' has no room for the state of a machine`, {
      node: nodeName,
    });
  }

  #checkPosition(position: number, length: number): void {
    if (Number.isSafeInteger(position) && position >= 0 && Number.isSafeInteger(position + length)) return;
    const { fileName, nodeName } = this.#parts;
    throw new BlockError("INVALID_OPTION", `${fileName}: ${position} is no position in the state of a machine`, { node: nodeName });
  }
}
