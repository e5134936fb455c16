/** The manual of `coblock rebase`. */

import { cache, file, FORMAT, format, IMAGE_OPTIONS, PROGRESS, QUIET } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["-b backing_file [-F fmt] filename"],
  description: [
    "The image gets another backing file and reads as before: what the two backing files do not have in common is written into it.",
  ],
  options: {
    format: FORMAT,
    backingFile: file("file", 'the new backing file; "" stands for none: the image holds everything itself'),
    backingFormat: format("its format"),
    unsafe: "change the name alone, without a look at any file: for a backing file that was moved",
    cache: cache("writeback (default) and the others: what is done is on the disk; unsafe: in the host's page cache"),
    sourceCache: cache("is checked and changes nothing"),
    progress: PROGRESS,
    quiet: QUIET,
    imageOptions: IMAGE_OPTIONS,
    forceShare: "open the new backing file although another process may be writing to it",
  },
  examples: [
    { line: "coblock rebase -u -b /new/place/base.qcow2 -F qcow2 overlay.qcow2", why: "the backing file was moved" },
    { line: 'coblock rebase -p -b "" overlay.qcow2', why: "make the image stand alone" },
  ],
};
