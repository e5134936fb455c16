/** The manual of `coblock measure`. */

import { FORCE_SHARE, FORMAT, format, IMAGE_OPTIONS, OUTPUT, SNAPSHOT } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["--size N", "filename"],
  description: ["Tells how large a new image of that size would be, or a copy of that image."],
  options: {
    format: FORMAT,
    targetFormat: format("the format of the new image (default raw)"),
    creation: { argument: "options", completes: "creation options", help: "its options: name=value,... ; -o help lists them" },
    size: { argument: "N", help: "for a disk of that size" },
    output: OUTPUT,
    snapshot: SNAPSHOT,
    imageOptions: IMAGE_OPTIONS,
    forceShare: FORCE_SHARE,
  },
  examples: [{ line: "coblock measure -O qcow2 disk.raw", why: "how much room does the copy need?" }],
};
