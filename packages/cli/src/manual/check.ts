/** The manual of `coblock check`. */

import { cache, FORCE_SHARE, FORMAT, IMAGE_OPTIONS, OUTPUT } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename"],
  description: ["Looks at all that an image says of itself: whether it agrees, whether anything is lost, and what space nobody uses."],
  options: {
    format: FORMAT,
    output: OUTPUT,
    repair: { argument: "leaks|all", completes: ["leaks", "all"], help: "repair leaked space, or all that can be repaired" },
    cache: cache("is checked and changes nothing"),
    quiet: "say nothing but the findings",
    imageOptions: IMAGE_OPTIONS,
    forceShare: FORCE_SHARE,
    explain: "say for each finding what it means, what the repair would do, and what could be lost",
    dryRun: "with -r: say what would be repaired, and change nothing; the exit code is that of the image as it is",
  },
  exitCodes: [
    [0, "no errors"],
    [1, "the check could not be done"],
    [2, "the image is damaged"],
    [3, "space is leaked, and nothing else"],
    [63, "the format has no check"],
  ],
  examples: [
    { line: "coblock check disk.qcow2", why: "is it in order?" },
    { line: "coblock check -r all --dry-run --explain disk.qcow2", why: "what would a repair do, and what could it cost?" },
    { line: "coblock check -r all disk.qcow2", why: "repair what can be repaired" },
  ],
};
