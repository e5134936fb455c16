/** Completion in a real bash, asked as readline asks. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { shown } from "./shown.ts";

let folder = "";
let script = "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "coblock-completion-"));
  script = join(folder, "completion.bash");
  writeFileSync(script, (await shown(["completion", "bash"], { isTTY: false })).stdout);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What is offered at the end of each line, and what bash itself is asked to complete. */
function offered(lines: readonly string[]): ReadonlyArray<readonly string[]> {
  const program = `source "$1"; shift
compopt() { [[ $1 == -o && $2 != nospace ]] && COMPREPLY+=("<$2>"); return 0; }
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
for COMP_LINE in "$@"; do COMP_POINT=\${#COMP_LINE}; _coblock; printf '%s\\x1f' "\${COMPREPLY[@]}"; echo; done`;
  const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-c", program, "bash", script, ...lines], { encoding: "utf8" });
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\u001f").filter((word) => word !== ""));
}

it("offers what fits", () => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    "coblock con": ["convert"],
    "coblock co": ["commit", "compare", "completion", "convert"],
    "coblock convert --targ": ["--target-format=", "--target-is-zero", "--target-image-opts"],
    "coblock convert -O q": ["qcow2", "qed"],
    "coblock convert --target-format=q": ["qcow2", "qed"],
    "coblock convert --target-format q": ["qcow2", "qed"],
    "coblock convert -t w": ["writeback", "writethrough"],
    "coblock img convert -O ra": ["raw"],
    "coblock convert -O qcow2 -o cl": ["cluster_size="],
    "coblock convert -O qcow2 -o compression_type=z": ["zlib", "zstd"],
    "coblock convert -O qcow2 -o cluster_size=64k,comp": ["64k,compat=", "64k,compression_type=zlib", "64k,compression_type=zstd"],
    "coblock create -f qed -o ta": ["table_size="],
    "coblock check -r ": ["leaks", "all"],
    "coblock map --output=": ["human", "json", "svg"],
    "coblock map --draw=": ["<default>"],
    "coblock info ": ["<default>"],
    "coblock info -f raw ": ["<default>"],
    "coblock nbd --tls-certificates=": ["<dirnames>"],
    "coblock help inf": ["info"],
    "coblock completion ": "bash fish zsh".split(" "),
    "coblock snapshot -c ": [],
    "coblock dd i": ["if="],
  };
  const lines = Object.keys(cases);
  const answers = offered(lines);
  for (const [index, line] of lines.entries())
    expect([line, [...(answers[index] ?? [])].sort()]).toEqual([line, [...(cases[line] ?? [])].sort()]);
});

it("offers every option that a command's help tells of", async () => {
  const [commands = []] = offered(["coblock "]);
  const names = commands.filter((name) => !["img", "io", "--help", "--version"].includes(name));
  expect(names).toEqual(expect.arrayContaining(["convert", "info", "map", "completion"]));
  const answers = offered(names.map((name) => `coblock ${name} -`));
  for (const [index, name] of names.entries()) {
    const { stdout } = await shown([name, "--help"], { isTTY: false });
    const told = [...stdout.matchAll(/^ {2}(?:(-\w)(?:, | |$))?(--[\w-]+)?/gm)].flatMap(([, short, long]) =>
      [short ?? [], long ?? []].flat(),
    );
    const plain = answers[index]?.map((word) => word.replace(/=$/, ""));
    expect(told.length, name).toBeGreaterThan(1);
    expect(plain?.sort(), name).toEqual(told.sort());
  }
});

it("is syntax that bash takes, without a word to say", () => {
  expect(spawnSync("bash", ["-n", script], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
});
