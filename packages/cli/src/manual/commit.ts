/** The manual of `coblock commit`. */

import { cache, file, FORMAT, IMAGE_OPTIONS, PROGRESS, QUIET, RATE } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename"],
  description: ["Afterwards the backing file has the bytes of the image, and the image is empty where its format can be."],
  options: {
    format: FORMAT,
    base: file("base", "a file further down in the backing chain; the images between are of no use any more. Implies -d"),
    drop: "leave the image as it is: it will be deleted",
    cache: cache("writeback (default) and the others: what is done is on the disk; unsafe: in the host's page cache"),
    rateLimit: RATE,
    progress: PROGRESS,
    quiet: QUIET,
    imageOptions: IMAGE_OPTIONS,
  },
  examples: [{ line: "coblock commit -p overlay.qcow2", why: "move what the overlay holds into its backing file" }],
};
