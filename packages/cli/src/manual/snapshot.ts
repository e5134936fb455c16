/** The manual of `coblock snapshot`. */

import { FORCE_SHARE, FORMAT, IMAGE_OPTIONS, QUIET } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename"],
  description: ["Works on the snapshots inside the image. A name may also be an ID, where it is applied."],
  options: {
    list: "list them",
    apply: { argument: "snapshot", help: "make the disk, with its size, what it was; what it is now is lost" },
    create: { argument: "snapshot", help: "make one of that name" },
    delete: { argument: "snapshot", help: "delete the first one of that name" },
    format: FORMAT,
    quiet: QUIET,
    imageOptions: IMAGE_OPTIONS,
    forceShare: FORCE_SHARE,
  },
  examples: [
    { line: 'coblock snapshot -c "before the upgrade" disk.qcow2', why: "remember the disk as it is" },
    { line: "coblock snapshot -l disk.qcow2", why: "list what is remembered" },
  ],
};
