/** The manual of `coblock help`. */

import { COMMANDS } from "../command-table.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["[command]"],
  operandsComplete: [...COMMANDS.keys()],
  description: ["Prints what a command does, its options and examples; without a name, all commands."],
  options: {},
  examples: [{ line: "coblock help convert", why: "what coblock convert --help tells, page by page at a terminal" }],
};
