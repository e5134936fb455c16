/** Pages of the manual for `man` (man(7)). */

import { COMMANDS } from "../command-table.ts";
import type { Command } from "../command.ts";
import { VERSION } from "../version.ts";
import { optionEntries, optionLabel } from "./option-entries.ts";
import type { ManualPage } from "./page.ts";
import { ENVIRONMENT, FIRST_STEPS, GROUPS, PROGRAMS, TOPICS } from "./program.ts";

/** All pages by the names of their files. */
export async function manPages(): Promise<ReadonlyMap<string, string>> {
  const pages = new Map([["coblock.1", programPage()]]);
  for (const [name, entry] of COMMANDS) {
    const command = await entry.load();
    pages.set(`coblock-${name}.1`, commandPage(command, await command.manual(), entry.summary));
  }
  return pages;
}

function programPage(): string {
  const lines = [
    ...headOf("coblock", "disk images: look, make, copy, change, serve"),
    ".SH SYNOPSIS",
    ".B coblock",
    ".I command",
    "[options]",
    ".SH DESCRIPTION",
    text("Coblock takes the words of qemu-img 7.2, prints what that prints, and ends with the same exit codes."),
  ];
  for (const [title, names] of GROUPS) {
    lines.push(".SS", text(title));
    for (const name of names) lines.push(...tagged(`coblock ${name}`, COMMANDS.get(name)?.summary ?? ""));
  }
  lines.push(".SH NOTES");
  for (const [title, words] of TOPICS) lines.push(...tagged(title, words));
  lines.push(".SH ENVIRONMENT");
  for (const [name, words] of ENVIRONMENT) lines.push(...tagged(name, words));
  lines.push(".SH OTHER PROGRAMS");
  for (const [name, words] of PROGRAMS) lines.push(...tagged(name, words));
  lines.push(...examplesOf(FIRST_STEPS), ".SH SEE ALSO", references([...COMMANDS.keys()].map((name) => `coblock-${name}`)));
  return joined(lines);
}

function commandPage(command: Command, page: ManualPage, summary: string): string {
  const lines = headOf(`coblock-${command.name}`, summary);
  lines.push(".SH SYNOPSIS");
  for (const [index, operands] of page.operands.entries()) {
    if (index > 0) lines.push(".br");
    const options = Object.keys(command.options).length > 0 ? "[options] " : "";
    lines.push(`.B ${text(`coblock ${command.name}`)}`, text(options + operands));
  }
  lines.push(".SH DESCRIPTION");
  for (const [index, paragraph] of page.description.entries()) lines.push(...(index === 0 ? [] : [".PP"]), text(paragraph));
  lines.push(".SH OPTIONS");
  for (const entry of optionEntries(command.options, page)) lines.push(...tagged(optionLabel(entry), entry.help));
  if (page.exitCodes !== undefined) {
    lines.push(".SH EXIT STATUS");
    for (const [code, meaning] of page.exitCodes) lines.push(...tagged(String(code), meaning));
  }
  lines.push(...examplesOf(page.examples), ".SH SEE ALSO", references(["coblock"]));
  return joined(lines);
}

function headOf(name: string, summary: string): string[] {
  return [`.TH ${text(name).toUpperCase()} 1 "" "Coblock ${VERSION}" "Coblock"`, ".SH NAME", `${text(name)} \\- ${text(summary)}`];
}

function tagged(tag: string, words: string): readonly string[] {
  return [".TP", `.B ${text(tag)}`, text(words)];
}

function examplesOf(examples: ManualPage["examples"]): readonly string[] {
  return [".SH EXAMPLES", ...examples.flatMap(({ line, why }) => [".TP", `.B ${text(line)}`, text(why)])];
}

function references(names: readonly string[]): string {
  return names.map((name, index) => `.BR ${text(name)} (1)${index < names.length - 1 ? "," : ""}`).join("\n");
}

/** Words that roff prints as they stand: hyphens that can be copied, and no control lines. */
function text(words: string): string {
  const escaped = words.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll('"', "\\(dq");
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}
