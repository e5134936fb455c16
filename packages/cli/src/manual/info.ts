/** The manual of `coblock info`. */

import { FORCE_SHARE, FORMAT, IMAGE_OPTIONS, OUTPUT } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename"],
  description: [
    "Tells format, sizes, snapshots and the format's own facts. Backing and data files that the image names are not opened.",
    "On a terminal --backing-chain prints a table; --output=human prints every fact of every image, as in a pipe.",
  ],
  options: {
    format: FORMAT,
    output: OUTPUT,
    backingChain: "go on with the backing file, its backing file, and so on",
    imageOptions: IMAGE_OPTIONS,
    forceShare: FORCE_SHARE,
  },
  examples: [
    { line: "coblock info disk.qcow2", why: "what is it?" },
    { line: "coblock info --backing-chain overlay.qcow2", why: "what does it stand on?" },
  ],
};
