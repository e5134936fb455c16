/** The manual of `coblock compare`. */

import { cache, FORCE_SHARE, format, PROGRESS, QUIET } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename1 filename2"],
  description: [
    "Tells whether two images hold the same disk, whatever their formats. The larger one may have zeros behind the end of the other.",
  ],
  options: {
    format: format("the format of the first image; else it is guessed"),
    otherFormat: format("the format of the second image; else it is guessed"),
    cache: cache("is checked and changes nothing"),
    progress: PROGRESS,
    quiet: QUIET,
    strict: "also sizes, and what is allocated, must be the same",
    imageOptions: "the names are lists of options: driver=qcow2,file.filename=disk.qcow2",
    forceShare: FORCE_SHARE,
  },
  exitCodes: [
    [0, "the same"],
    [1, "not the same"],
    [2, "an image could not be opened"],
    [3, "what is allocated could not be found out"],
    [4, "a read failed"],
  ],
  examples: [{ line: "coblock compare disk.raw disk.qcow2", why: "has the copy become what it should?" }],
};
