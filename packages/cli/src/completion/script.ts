/** The script of a shell's completion, by the name of the shell. */

import type { BlockGraph } from "@coblock/core";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import { completionWords, type CompletionWords } from "./words.ts";
import { zshScript } from "./zsh.ts";

const SCRIPTS: Readonly<Record<string, (words: CompletionWords) => string>> = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** The shells that are known. */
export const SHELLS: readonly string[] = Object.keys(SCRIPTS);

/** `shell` is one of SHELLS. */
export async function completionScript(shell: string, graph: BlockGraph): Promise<string> {
  return SCRIPTS[shell]?.(await completionWords(graph)) ?? "";
}
