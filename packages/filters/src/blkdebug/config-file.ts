/** A file of rules: sections `[inject-error]` and `[set-state]`, a line `name = "value"` for each option. */

import { BlockError, errnoWords } from "@coblock/core";
import { readFile } from "node:fs/promises";
import { rulesOf, type Rule } from "./rules.ts";

/** The options of one section, by name; numbers are still text. */
interface Section {
  readonly name: string;
  readonly options: Record<string, unknown>;
}

const SECTIONS = ["inject-error", "set-state"];
const NUMBERS = ["state", "errno", "sector", "new_state"];

/** Throws INVALID_OPTION. */
export async function readRules(path: string): Promise<Rule[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const words = errnoWords((cause as NodeJS.ErrnoException).code ?? "EIO");
    throw new BlockError("INVALID_OPTION", `Could not read blkdebug config file: ${words}`, { cause });
  }
  return parseRules(text);
}

/** Throws INVALID_OPTION. */
export function parseRules(text: string): Rule[] {
  const sections = parseSections(text);
  const of = (name: string): object[] => sections.filter((section) => section.name === name).map(({ options }) => options);
  return rulesOf(of("inject-error"), of("set-state"));
}

function parseSections(text: string): Section[] {
  const sections: Section[] = [];
  for (const line of text.split("\n")) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const header = /^\[([^\]\s]+)(?:\s+"[^"]*")?\]/.exec(line)?.[1];
    if (header !== undefined) {
      if (!SECTIONS.includes(header)) throw new BlockError("INVALID_OPTION", `There is no option group '${header}'`);
      sections.push({ name: header, options: {} });
      continue;
    }
    const section = sections.at(-1);
    if (section === undefined) throw new BlockError("INVALID_OPTION", "no group defined");
    addOption(section, line);
  }
  return sections;
}

/** The name ends at the first blank: without one before the `=` all of the word is the name. */
function addOption({ name: section, options }: Section, line: string): void {
  const [, name = "", rest = ""] = /^\s*(\S+)(.*)$/.exec(line) ?? [];
  const value = /^\s*=\s*"([^"]*)"/.exec(rest)?.[1] ?? "";
  const known =
    section === "inject-error" ? ["event", "iotype", "once", "immediately", ...NUMBERS.slice(0, 3)] : ["event", "state", "new_state"];
  if (!known.includes(name)) throw new BlockError("INVALID_OPTION", `Invalid parameter '${name}'`);
  if (NUMBERS.includes(name) && !/^-?\d+$/.test(value)) throw new BlockError("INVALID_OPTION", `Parameter '${name}' expects a number`);
  options[name] = NUMBERS.includes(name) ? Number(value) : value;
}
