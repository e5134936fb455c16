/** The manual of `coblock bitmap`. */

import { file, format, FORMAT, IMAGE_OPTIONS } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename bitmap"],
  description: [
    "Works on the dirty bitmaps that the image keeps: which parts of the disk have changed since the bitmap was made or cleared.",
    "Actions are done in their order; the first that fails is the last, and what was done before it stays.",
  ],
  options: {
    add: "make the bitmap; it follows changes from now on",
    remove: "remove it",
    clear: "nothing has changed, by it",
    enable: "it follows changes from now on",
    disable: "it keeps what it has, and follows no changes",
    merge: { argument: "source", help: "what changed by the bitmap of that name has changed by this one, too" },
    sourceFile: file("file", "where --merge takes its sources from; else they are in the image itself"),
    sourceFormat: format("the format of that file"),
    granularity: {
      argument: "size",
      help: "bytes that one bit of a new bitmap stands for: a power of two from 512 to 2G (default: the cluster size, 4k to 64k)",
    },
    format: FORMAT,
    imageOptions: IMAGE_OPTIONS,
  },
  examples: [{ line: "coblock bitmap --add disk.qcow2 nightly", why: "note from now on what changes" }],
};
