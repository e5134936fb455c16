/** Completion in a real zsh that believes to sit at a terminal. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { shown } from "./shown.ts";

/**
 * An interactive shell behind a pseudo-terminal; its `compadd` prints what it would offer, and its Tab ends with a mark. Words of the
 * command line: the folder with the script, and the lines to complete.
 */
const ASKING = String.raw`
zmodload zsh/zpty || exit 2
folder=$1; shift
zpty shell zsh -f -i
zpty -w shell "PS1= PS2= RPS1= HISTFILE= LISTMAX=0; stty -onlcr -echo; cd $folder; fpath=($folder \$fpath)"
zpty -w shell 'autoload -Uz compinit; compinit -u -D; zstyle ":completion:*" format ""
compadd () {
  [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] && { builtin compadd "$@"; return; }
  typeset -a offered; builtin compadd -A offered "$@"
  for word in $offered; print -r -- "offer:$word"
}
complete-and-tell () { zle complete-word; print -r -- mark:done; zle kill-whole-line }
zle -N complete-and-tell; bindkey "^I" complete-and-tell; print -r -- mark:ready'
until [[ $text == *mark:ready*$'\n'* ]]; do zpty -r shell line || exit 3; text+=$line; done
for asked in "$@"; do
  text=
  zpty -w -n shell "$asked"$'\t'
  until [[ $text == *mark:done* ]]; do zpty -r shell line || exit 4; text+=$line; done
  print -r -- "asked:$asked"
  print -r -- "$text"
done
zpty -d shell`;

it("offers what fits", { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "coblock-completion-"));
  try {
    writeFileSync(join(folder, "_coblock"), (await shown(["completion", "zsh"], { isTTY: false })).stdout);
    writeFileSync(join(folder, "disk.qcow2"), "");
    const cases: Readonly<Record<string, readonly string[]>> = {
      "coblock con": ["convert"],
      "coblock convert --targ": ["--target-format", "--target-image-opts", "--target-is-zero"],
      "coblock convert -O q": ["qcow2", "qed"],
      "coblock convert --target-format=q": ["qcow2", "qed"],
      "coblock create -f qed -o ta": ["table_size"],
      "coblock check -r ": ["all", "leaks"],
      "coblock info dis": ["disk.qcow2"],
      "coblock img convert -O ra": ["raw"],
      "coblock completion z": ["zsh"],
    };
    const { stdout, stderr, status } = spawnSync("zsh", ["-f", "-c", ASKING, "zsh", folder, ...Object.keys(cases)], {
      encoding: "utf8",
      timeout: 50_000,
    });
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    const answers = stdout.split("asked:").slice(1);
    for (const [index, [line, expected]] of Object.entries(cases).entries()) {
      const offered = [...(answers[index] ?? "").matchAll(/offer:([^\r\n]*)/g)].map(([, word = ""]) => word);
      expect([line, [...new Set(offered)].sort()]).toEqual([line, expected]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
