/** Reads a command's words as getopt does: `-O qcow2`, `-Oqcow2`, `-pq`, `--output=json`, `--backing` for `--backing-chain`. */

import { parseArgs } from "node:util";
import { UsageFailure } from "./failure.ts";

/** One option. */
export interface OptionSpec {
  readonly kind: "flag" | "value" | "values" | "optional";
  readonly short?: string;
  readonly long?: string;
  /** Coblock's alone: qemu-img has no such option. */
  readonly isOwn?: true;
}
export type OptionTable = Readonly<Record<string, OptionSpec>>;

type ValueOf<Spec extends OptionSpec> = Spec["kind"] extends "flag"
  ? boolean
  : Spec["kind"] extends "value" | "optional"
    ? string | undefined
    : readonly string[];
/** One option as it was typed. */
interface GivenOption<Name> {
  readonly name: Name;
  /** Its value; absent for a flag. */
  readonly text: string | undefined;
}
export interface CommandLine<Table extends OptionTable> {
  readonly options: { readonly [Name in keyof Table]: ValueOf<Table[Name]> };
  /** The command's own options in their order, where that counts. */
  readonly given: readonly GivenOption<keyof Table>[];
  readonly operands: readonly string[];
  /** What `--object` was given. */
  readonly objects: readonly string[];
  readonly wantsHelp: boolean;
}

/** On or off. */
export function flag(short: string | undefined, long?: string): OptionSpec & { readonly kind: "flag" } {
  return { kind: "flag", ...names(short, long) };
}
/** The last one counts where it is given more than once. */
export function value(short: string | undefined, long?: string): OptionSpec & { readonly kind: "value" } {
  return { kind: "value", ...names(short, long) };
}
/** May be given more than once. */
export function values(short: string | undefined, long?: string): OptionSpec & { readonly kind: "values" } {
  return { kind: "values", ...names(short, long) };
}

/** With a value (`--draw=file`) or without one (`--draw`), which then is empty. */
export function optional(short: string | undefined, long: string): OptionSpec & { readonly kind: "optional" } {
  return { kind: "optional", ...names(short, long) };
}
/** Only under the name `coblock`. */
export function own<Spec extends OptionSpec>(spec: Spec): Spec {
  return { ...spec, isOwn: true };
}

/** Options that every command of qemu-img has. */
export const SHARED_OPTIONS: OptionTable = { object: values(undefined, "object"), help: flag("h", "help") };

/** Throws UsageFailure for what the table does not have. `asCoblock`: with Coblock's own options. */
export function parseCommandLine<const Table extends OptionTable>(
  command: string,
  table: Table,
  argv: readonly string[],
  asCoblock: boolean = true,
): CommandLine<Table> {
  const specs = Object.fromEntries(Object.entries({ ...SHARED_OPTIONS, ...table }).filter(([, { isOwn }]) => asCoblock || isOwn !== true));
  const config: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const [key, spec] of Object.entries(specs)) {
    const type = spec.kind === "value" || spec.kind === "values" ? "string" : "boolean";
    config[spec.long ?? shortKey(key)] = { type, ...(spec.short === undefined ? {} : { short: spec.short }) };
  }
  const { tokens } = parseArgs({
    args: expandLongNames(specs, argv, command),
    options: config,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const found: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(table)) found[key] = spec.kind === "flag" ? false : spec.kind === "values" ? [] : undefined;
  const given: GivenOption<keyof Table>[] = [];
  const operands: string[] = [];
  const shared = { object: [] as string[] };
  let wantsHelp = false;
  for (const token of tokens) {
    if (token.kind === "positional") operands.push(token.value);
    if (token.kind !== "option") continue;
    const entry = Object.entries(specs).find(([, spec]) => token.rawName === `-${spec.short}` || token.rawName === `--${spec.long}`);
    if (entry === undefined) throw new UsageFailure(command, `unrecognized option '${token.rawName}'`);
    const [key, spec] = entry;
    if (key === "help") {
      wantsHelp = true;
      continue;
    }
    store(command, key === "object" ? shared : found, { key, spec, rawName: token.rawName, text: token.value });
    if (key in table) given.push({ name: key, text: token.value });
  }
  return { options: found as CommandLine<Table>["options"], given, operands, objects: shared.object, wantsHelp };
}

interface Occurrence {
  readonly key: string;
  readonly spec: OptionSpec;
  readonly rawName: string;
  readonly text: string | undefined;
}

function store(command: string, found: Record<string, unknown>, { key, spec, rawName, text }: Occurrence): void {
  if (spec.kind === "flag") {
    if (text !== undefined) throw new UsageFailure(command, `option '${rawName}' takes no argument`);
    found[key] = true;
    return;
  }
  if (spec.kind === "optional") {
    found[key] = text ?? "";
    return;
  }
  if (text === undefined) throw new UsageFailure(command, `missing argument for option '${rawName}'`);
  if (spec.kind === "value") found[key] = text;
  else (found[key] as string[]).push(text);
}

/** getopt takes a long name that is cut short, if only one option begins so. */
function expandLongNames(specs: OptionTable, argv: readonly string[], command: string): string[] {
  const known = Object.values(specs).flatMap((spec) => spec.long ?? []);
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  return argv.map((word, index) => {
    const match = /^--([^=]+)(=.*)?$/s.exec(word);
    if (index >= end || match === null) return word;
    const [, name = "", rest = ""] = match;
    if (known.includes(name)) return word;
    const candidates = known.filter((long) => long.startsWith(name));
    if (candidates.length > 1)
      throw new UsageFailure(command, `option '--${name}' is ambiguous: --${candidates.join(", --")}`, `unrecognized option '${word}'`);
    return candidates.length === 1 ? `--${candidates[0]}${rest}` : word;
  });
}

/** parseArgs wants a long name for each; one that nobody can type stands for none. */
function shortKey(key: string): string {
  return `\u0000${key}`;
}

function names(short: string | undefined, long: string | undefined): { readonly short?: string; readonly long?: string } {
  return { ...(short === undefined ? {} : { short }), ...(long === undefined ? {} : { long }) };
}
