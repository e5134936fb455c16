/** What `--help` and `--version` print, by whichever name the command is called. */

import { COMMANDS } from "./command-table.ts";
import { FORMATS } from "./drivers.ts";
import { ENVIRONMENT, FIRST_STEPS, GROUPS, PROGRAMS, TOPICS } from "./manual/program.ts";
import { item, wrap } from "./manual/text-page.ts";
import type { Program } from "./program.ts";
import type { Screen } from "./terminal/screen.ts";
import { QEMU_VERSION, VERSION } from "./version.ts";

const MAX_WIDTH = 100;

/** All commands and what they share. */
export function helpText(program: Program, screen: Screen): string {
  const { kind } = program;
  const isOwn = kind === "coblock";
  const width = screen.isTerminal ? Math.min(MAX_WIDTH, screen.columns - 1) : 80;
  const lines = [
    `${versionText(program)}usage: ${kind} [--help | --version] command [options]`,
    ...wrap("It takes the words and options of qemu-img 7.2, prints what that prints, and ends with the same exit codes.", width),
  ];
  for (const [title, names] of GROUPS) {
    const shown = names.filter((name) => isOwn || COMMANDS.get(name)?.isOwn !== true);
    if (shown.length > 0) lines.push("", screen.bold(title));
    for (const name of shown) lines.push(`  ${name.padEnd(11)}${COMMANDS.get(name)?.summary ?? ""}`);
  }
  if (isOwn) {
    lines.push("", screen.bold("First steps"));
    for (const { line, why } of FIRST_STEPS) lines.push(`  ${line}`, screen.dim(`      ${why}`));
  }
  lines.push("", `'${kind} COMMAND --help' tells all of a command.`, "");
  for (const [title, words] of TOPICS) if (isOwn || title !== "Terminals") lines.push(...item(title, words, width));
  for (const [name, words] of isOwn ? [...ENVIRONMENT, ...PROGRAMS] : []) lines.push(...item(name, words, width));
  lines.push(...item("Formats", FORMATS.join(" "), width));
  return lines.map((line) => `${line}\n`).join("");
}

/** One line for `coblock`; the tools of QEMU print a second one, and programs look for the version that they stand for. */
export function versionText({ kind, name }: Program): string {
  if (kind === "coblock") return `coblock version ${VERSION}\n`;
  if (kind === "qemu-nbd") return `${name} ${QEMU_VERSION} (Coblock ${VERSION})\nCopyright (c) 2026 the Coblock authors\n`;
  return `${name} version ${QEMU_VERSION} (Coblock ${VERSION})\nCopyright (c) 2026 the Coblock authors\n`;
}
