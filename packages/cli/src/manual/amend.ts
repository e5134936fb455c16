/** The manual of `coblock amend`. */

import { cache, FORMAT, IMAGE_OPTIONS, PROGRESS, QUIET } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["-o options filename"],
  description: ["Changes options that were chosen when the image was made; the disk reads as before."],
  options: {
    format: FORMAT,
    changes: { argument: "options", completes: "amend options", help: "name=value,... ; -o help lists the names" },
    cache: cache("is checked and changes nothing"),
    progress: PROGRESS,
    quiet: QUIET,
    imageOptions: IMAGE_OPTIONS,
    force: "is taken and changes nothing",
  },
  examples: [
    { line: "coblock amend -o compat=1.1 old.qcow2", why: "bring an old qcow2 image to version 3" },
    { line: "coblock amend -f qcow2 -o help", why: "list what can be changed" },
  ],
};
