/** The manual of `coblock completion`. */

import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["bash|zsh|fish"],
  operandsComplete: ["bash", "zsh", "fish"],
  description: [
    "Prints what a shell needs to complete commands, options, formats, options of new images, and file names.",
    "The script holds all of it: pressing Tab starts no program.",
  ],
  options: {},
  examples: [
    { line: "source <(coblock completion bash)", why: "for this bash; in ~/.bashrc for all" },
    { line: 'coblock completion zsh > "${fpath[1]}/_coblock"', why: "for zsh" },
    { line: "coblock completion fish > ~/.config/fish/completions/coblock.fish", why: "for fish" },
  ],
};
