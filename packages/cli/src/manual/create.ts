/** The manual of `coblock create`. */

import { file, format, QUIET } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename [size]"],
  description: ["Makes a new, empty image. Without a size it is as large as its backing file. A file of that name is replaced."],
  options: {
    format: format("the format of the new image (default raw)"),
    backingFile: file("file", "the image holds only what differs from that file"),
    backingFormat: format("the format of that file, which must be told"),
    unsafe: "do not look at the backing file",
    quiet: QUIET,
    creation: { argument: "options", completes: "creation options", help: "name=value,... ; -o help lists the names" },
  },
  examples: [
    { line: "coblock create -f qcow2 disk.qcow2 20G", why: "an empty disk that grows as it is written" },
    { line: "coblock create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2", why: "an overlay: base.qcow2 stays as it is" },
    { line: "coblock create -f qcow2 -o help", why: "list the options of a format" },
  ],
};
