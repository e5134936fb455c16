/** The manual of `coblock dd`. */

import { FORCE_SHARE, FORMAT, format, IMAGE_OPTIONS } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["[bs=block_size] [count=blocks] [skip=blocks] if=input of=output"],
  operandsComplete: ["if=", "of=", "bs=", "count=", "skip="],
  description: [
    "Copies part of the disk of one image into a new one; all that is copied is stored, zeros too.",
    "bs is the size of a block (default 512); count says how many blocks to copy at most (default all), skip how many to leave out at the beginning.",
  ],
  options: {
    format: FORMAT,
    targetFormat: format("the format of the new image (default raw)"),
    imageOptions: IMAGE_OPTIONS,
    forceShare: FORCE_SHARE,
  },
  examples: [{ line: "coblock dd bs=1M count=16 if=disk.qcow2 of=head.raw", why: "the first 16 MiB of the disk" }],
};
