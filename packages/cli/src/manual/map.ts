/** The manual of `coblock map`. */

import { FORCE_SHARE, FORMAT, IMAGE_OPTIONS } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename"],
  description: [
    "Lists the runs of the disk: as text those with data, as JSON all of them.",
    "--draw shows a picture instead: what the guest reads and from which layer, what each layer holds, and how its file is used and scattered.",
  ],
  options: {
    format: FORMAT,
    output: { argument: "human|json|svg", completes: ["human", "json", "svg"], help: "text, JSON, or with --draw a picture as SVG" },
    draw: {
      argument: "file.svg",
      completes: "file",
      help: "a picture on the terminal, or as SVG in that file",
    },
    startOffset: { argument: "offset", help: "where to begin" },
    maxLength: { argument: "length", help: "how far to go" },
    imageOptions: IMAGE_OPTIONS,
    forceShare: FORCE_SHARE,
  },
  examples: [
    { line: "coblock map --draw disk.qcow2", why: "a picture on the terminal" },
    { line: "coblock map --draw=disk.svg disk.qcow2", why: "the same for a page or a report" },
    { line: "coblock map --output=json disk.qcow2", why: "every run, for a program" },
  ],
};
