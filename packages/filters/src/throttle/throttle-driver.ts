/** Opens images whose requests wait their turn in a group: `throttle`. */

import {
  BlockError,
  type BlockChild,
  type BlockDriver,
  type BlockImage,
  type IoOptions,
  type NodeOptions,
  type OpenContext,
  type ZeroOptions,
} from "@coblock/core";
import { FilteredImage } from "../filtered-image.ts";
import type { ThrottleGroup } from "./throttle-group.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    throttle: ThrottleOptions;
  }
}

/** QEMU's `BlockdevOptionsThrottle`. */
export interface ThrottleOptions {
  readonly file: NodeOptions;
  /** The name of a group. */
  readonly throttleGroup: string;
}

/** The driver for groups that the caller made. */
export function throttleOver(groups: ReadonlyMap<string, ThrottleGroup>): BlockDriver<"throttle"> {
  return Object.freeze({
    name: "throttle",
    kind: "filter",
    optionNames: ["file", "throttleGroup"],
    open: async ({ file, throttleGroup }: ThrottleOptions, context: OpenContext): Promise<BlockImage> => {
      if (throttleGroup === undefined) throw new BlockError("INVALID_OPTION", "Please specify a throttle group");
      const group = groups.get(throttleGroup);
      if (group === undefined) throw new BlockError("INVALID_OPTION", `Throttle group '${throttleGroup}' does not exist`);
      return new ThrottledImage(await context.child("file", "filtered", file), group);
    },
  });
}

class ThrottledImage extends FilteredImage {
  readonly #group: ThrottleGroup;

  constructor(child: BlockChild, group: ThrottleGroup) {
    super(child);
    this.#group = group;
  }

  override async read(offset: number, into: Uint8Array, options?: IoOptions): Promise<void> {
    await this.#group.pass("read", into.length, options);
    await super.read(offset, into, options);
  }

  override async write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    await this.#group.pass("write", from.length, options);
    await super.write(offset, from, options);
  }

  override async writeCompressed(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    await this.#group.pass("write", from.length, options);
    await super.writeCompressed(offset, from, options);
  }

  override async writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    await this.#group.pass("write", length, options);
    await super.writeZeroes(offset, length, options);
  }

  override async discard(offset: number, length: number, options?: IoOptions): Promise<void> {
    await this.#group.pass("write", length, options);
    await super.discard(offset, length, options);
  }

  inspect(): object {
    return { group: this.#group.name };
  }
}
