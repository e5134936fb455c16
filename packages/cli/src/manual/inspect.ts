/** The manual of `coblock inspect`. */

import { FORCE_SHARE, FORMAT, IMAGE_OPTIONS } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename"],
  description: [
    "Opens the image read-only, with its backing files, and prints all nodes as JSON: children, sizes, requests in flight, locks, caches.",
    "A command that runs prints the same when it gets SIGUSR2.",
  ],
  options: { format: FORMAT, imageOptions: IMAGE_OPTIONS, forceShare: FORCE_SHARE },
  examples: [{ line: "coblock inspect overlay.qcow2", why: "which nodes does opening it make?" }],
};
