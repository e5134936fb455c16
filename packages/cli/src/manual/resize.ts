/** The manual of `coblock resize`. */

import { FORMAT, IMAGE_OPTIONS, QUIET } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename [+|-]size"],
  description: ["Makes the disk larger or smaller. With + or - the size is added or taken off. File systems on it stay as they are."],
  options: {
    format: FORMAT,
    preallocation: {
      argument: "mode",
      completes: ["off", "metadata", "falloc", "full"],
      help: "how the new space is allocated: off, metadata, falloc or full",
    },
    shrink: "needed where the image becomes smaller: all data beyond its new end is lost",
    quiet: QUIET,
    imageOptions: IMAGE_OPTIONS,
  },
  examples: [{ line: "coblock resize disk.qcow2 +5G", why: "5 GiB more" }],
};
