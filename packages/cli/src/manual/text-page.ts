/** A page of the manual as text: what `coblock COMMAND --help` prints. */

import type { Command } from "../command.ts";
import type { Session } from "../session.ts";
import { optionEntries, optionLabel } from "./option-entries.ts";
import type { ManualPage } from "./page.ts";

/** Lines beyond that are hard to read. */
const MAX_WIDTH = 100;
/** Where the words of an option begin. */
const INDENT = 28;

/** Without the options that the program of this name does not have. */
export function textPage(command: Pick<Command, "name" | "options">, page: ManualPage, { program, screen }: Session): string {
  const isOwn = program.kind === "coblock";
  const width = screen.isTerminal ? Math.min(MAX_WIDTH, screen.columns - 1) : 80;
  const hasOptions = Object.keys(command.options).length > 0;
  const calls = page.operands.map((operands) => `${program.kind} ${command.name} ${hasOptions ? "[options] " : ""}${operands}`);
  const lines = calls.map((call, index) => `${index === 0 ? "usage:" : "      "} ${call}`);
  for (const paragraph of page.description) lines.push("", ...wrap(paragraph, width));
  lines.push("", screen.bold("Options"));
  for (const entry of optionEntries(command.options, page))
    if (isOwn || entry.spec.isOwn !== true) lines.push(...item(optionLabel(entry), entry.help, width));
  if (page.exitCodes !== undefined) {
    lines.push("", screen.bold("Exit codes"));
    for (const [code, meaning] of page.exitCodes) lines.push(`  ${String(code).padStart(2)}  ${meaning}`);
  }
  lines.push("", screen.bold("Examples"));
  for (const { line, why } of page.examples) lines.push(`  ${line}`, ...wrap(why, width - 6).map((text) => screen.dim(`      ${text}`)));
  return lines.map((line) => `${line}\n`).join("");
}

/** A label and its words; long labels have a line of their own. */
export function item(label: string, words: string, width: number): readonly string[] {
  const [first = "", ...more] = wrap(words, Math.max(width - INDENT, 20));
  const continued = more.map((line) => " ".repeat(INDENT) + line);
  if (label.length > INDENT - 4) return [`  ${label}`, " ".repeat(INDENT) + first, ...continued];
  return [`  ${label.padEnd(INDENT - 2)}${first}`, ...continued];
}

/** Words are never broken. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
