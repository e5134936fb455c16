/** `-o` of new files: what the host's file system is told of them. */

import type { CreateOption, CreateValue } from "../../creation.ts";
import { BlockError } from "../../errors.ts";

/** 1 MiB, as QEMU has it: images grow here and there, and file systems that take the hint (XFS) would be left with as many pieces. */
const DEFAULT_EXTENT_SIZE = 1024 * 1024;

/** It has 32 bits. */
const LONGEST_EXTENT_SIZE = 2 ** 32 - 1;

/** In the words of qemu-img. */
export const FILE_HINTS: readonly CreateOption[] = [
  { name: "extent_size_hint", type: "size", help: "Extent size hint for the image file, 0 to disable" },
  { name: "nocow", type: "flag", help: "Turn off copy-on-write (valid only on btrfs)" },
];

export interface FileHints {
  /** Nothing happens where the file system does not copy on write, or cannot do without. */
  readonly noCopyOnWrite: boolean;
  /** Bytes; 0: none. */
  readonly extentSize: number;
  /** It was asked for: where it cannot be set, that is told. */
  readonly extentSizeAsked: boolean;
}

/** Core checked the types. Throws INVALID_OPTION for an extent size that is longer than file systems can be told. */
export function fileHintsOf({ nocow, extent_size_hint: asked }: Readonly<Record<string, CreateValue>>): FileHints {
  const extentSizeAsked = typeof asked === "number";
  if (extentSizeAsked && asked > LONGEST_EXTENT_SIZE) throw new BlockError("INVALID_OPTION", "Extent size hint is too large");
  return { noCopyOnWrite: nocow === true, extentSize: extentSizeAsked ? asked : DEFAULT_EXTENT_SIZE, extentSizeAsked };
}
