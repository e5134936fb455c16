/** `--object authz-simple,...`, `authz-list` and `authz-list-file`: which clients may go on, by their names. */

import { readFileSync } from "node:fs";
import { errnoWords } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
import { parseFlag } from "./text/key-values.ts";

/** Throws what keeps it from saying so: then nobody is allowed. */
export type Authorization = (name: string) => boolean;

export const AUTHORIZATION_TYPES: readonly string[] = ["authz-simple", "authz-list", "authz-list-file"];

type Words = ReadonlyMap<string, string>;
type Policy = "allow" | "deny";

interface Rule {
  readonly matches: (name: string) => boolean;
  readonly policy: Policy;
}

const RULE_KNOWN = ["match", "policy", "format"];

/** Throws CommandFailure. */
export function authorizationOf(type: string, words: Words): Authorization {
  if (type === "authz-simple") return simple(words);
  return type === "authz-list" ? listOf(words) : listFile(words);
}

/** One name. */
function simple(words: Words): Authorization {
  checkKnown(words, ["identity"]);
  const identity = words.get("identity");
  if (identity === undefined) throw new CommandFailure("Parameter 'identity' is missing");
  return (name) => name === identity;
}

/** The first rule that fits decides, else the policy. `rules.0.match=...`, as nested objects are written in one line. */
function listOf(words: Words): Authorization {
  const byIndex = new Map<number, Map<string, string>>();
  for (const [key, value] of words) {
    const [, index, name = ""] = /^rules\.(\d+)\.(.+)$/.exec(key) ?? [];
    if (index === undefined && key !== "policy") throw new CommandFailure(`Parameter '${key}' is unexpected`);
    if (index === undefined) continue;
    if (!RULE_KNOWN.includes(name)) throw new CommandFailure(`Parameter '${key}' is unexpected`);
    const rule = byIndex.get(Number(index)) ?? new Map<string, string>();
    byIndex.set(Number(index), rule.set(name, value));
  }
  const rules = Array.from({ length: byIndex.size }, (_, index) => ruleOf(index, byIndex.get(index)));
  const policy = policyOf(words.get("policy") ?? "deny");
  return (name) => (rules.find(({ matches }) => matches(name))?.policy ?? policy) === "allow";
}

function ruleOf(index: number, words: Words | undefined): Rule {
  if (words === undefined) throw new CommandFailure(`Parameter 'rules.${index}' missing`);
  const [match, policy, format = "exact"] = RULE_KNOWN.map((name) => words.get(name));
  if (match === undefined) throw new CommandFailure(`Parameter 'rules.${index}.match' is missing`);
  if (policy === undefined) throw new CommandFailure(`Parameter 'rules.${index}.policy' is missing`);
  if (format !== "exact" && format !== "glob") throw new CommandFailure(`Parameter 'format' does not accept value '${format}'`);
  const pattern = format === "glob" ? globOf(match) : undefined;
  return { matches: (name) => pattern?.test(name) ?? name === match, policy: policyOf(policy) };
}

/** `*` for any characters, `?` for one. */
function globOf(match: string): RegExp {
  const source = match.replace(/[^*?]+|\*+|\?/g, (part) =>
    part === "?" ? "." : part.startsWith("*") ? ".*" : part.replace(/[\\^$.|+()[\]{}/-]/g, "\\$&"),
  );
  return new RegExp(`^${source}$`, "su");
}

function policyOf(text: string): Policy {
  if (text !== "allow" && text !== "deny") throw new CommandFailure(`Parameter 'policy' does not accept value '${text}'`);
  return text;
}

/** A list in a file, in JSON; with `refresh` it is read anew for each client. */
function listFile(words: Words): Authorization {
  checkKnown(words, ["filename", "refresh"]);
  const filename = words.get("filename");
  if (filename === undefined) throw new CommandFailure("Parameter 'filename' is missing");
  const first = readList(filename);
  const refresh = parseFlag(words.get("refresh") ?? "on", "refresh");
  return refresh ? (name) => readList(filename)(name) : first;
}

function readList(filename: string): Authorization {
  let text: string;
  try {
    text = readFileSync(filename, "utf8");
  } catch (cause) {
    const reason = errnoWords((cause as NodeJS.ErrnoException).code ?? "EIO");
    throw new CommandFailure(`Unable to read '${filename}': Failed to open file “${filename}”: ${reason}`, 1, { cause });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new CommandFailure(`Unable to parse '${filename}': ${(cause as Error).message}`, 1, { cause });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw new CommandFailure(`File '${filename}' must contain a JSON object`);
  return listOf(flatten(parsed));
}

/** The members of an object in JSON as words in one line have them: `{"rules": [{"match": "x"}]}` is `rules.0.match=x`. */
export function flatten(value: object, prefix: string = ""): Map<string, string> {
  const words = new Map<string, string>();
  for (const [name, member] of Object.entries(value) as [string, unknown][]) {
    if (typeof member !== "object" || member === null) words.set(prefix + name, String(member));
    else for (const [inner, text] of flatten(member, `${prefix}${name}.`)) words.set(inner, text);
  }
  return words;
}

function checkKnown(words: Words, known: readonly string[]): void {
  for (const name of words.keys()) if (!known.includes(name)) throw new CommandFailure(`Parameter '${name}' is unexpected`);
}
