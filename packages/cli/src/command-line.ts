/** Reads a command's words as getopt does: `-O qcow2`, `-Oqcow2`, `-pq`, `--output=json`, `--backing` for `--backing-chain`. */

import { UsageFailure } from "./failure.ts";
import { parseWords, type LongOptions, type OptionProblem } from "./getopt.ts";

/** A name that `coblock` knows, and `qemu-img` does not. */
export interface OwnName {
  readonly own: string;
}
/** One option. */
export interface OptionSpec {
  readonly kind: "flag" | "value" | "values" | "optional";
  readonly short?: string;
  readonly long?: string;
  /** Coblock's alone: qemu-img has no such option. */
  readonly isOwn?: true;
  /** Names that qemu-img does not have for it. */
  readonly besides?: readonly string[];
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

type Spelling = string | OwnName | undefined;

/** On or off. */
export function flag(short: Spelling, long?: Spelling): OptionSpec & { readonly kind: "flag" } {
  return { kind: "flag", ...names(short, long) };
}
/** The last one counts where it is given more than once. */
export function value(short: Spelling, long?: Spelling): OptionSpec & { readonly kind: "value" } {
  return { kind: "value", ...names(short, long) };
}
/** May be given more than once. */
export function values(short: Spelling, long?: Spelling): OptionSpec & { readonly kind: "values" } {
  return { kind: "values", ...names(short, long) };
}
/** With a value (`--draw=file`) or without one (`--draw`), which then is empty. */
export function optional(short: Spelling, long: Spelling): OptionSpec & { readonly kind: "optional" } {
  return { kind: "optional", ...names(short, long) };
}
/** Only under the name `coblock`. */
export function own<Spec extends OptionSpec>(spec: Spec): Spec {
  return { ...spec, isOwn: true };
}
/** A name that qemu-img does not have for an option of its own. */
export function besides(name: string): OwnName {
  return { own: name };
}

/** Options that every command of qemu-img has. */
export const SHARED_OPTIONS: OptionTable = { object: values(undefined, "object"), help: flag("h", "help") };

/** Commands of qemu-img that take no objects. */
const WITHOUT_OBJECTS = ["bench"];

/** Whose words they are. */
export interface Dialect {
  /** Names of our own are no names. */
  readonly isQemu: boolean;
  /** The first operand ends the options. */
  readonly inOrder: boolean;
}

/** Throws UsageFailure for what the table does not have; what stands behind a wish for help is not looked at. */
export function parseCommandLine<const Table extends OptionTable>(
  command: string,
  table: Table,
  argv: readonly string[],
  { isQemu, inOrder }: Dialect,
): CommandLine<Table> {
  const shared = isQemu && WITHOUT_OBJECTS.includes(command) ? { help: flag("h", "help") } : SHARED_OPTIONS;
  const specs = knownSpecs({ ...shared, ...table }, isQemu);
  const letters = specs.map(({ kind, short }) => (short === undefined ? "" : `${short}${takesWord(kind) ? ":" : ""}`)).join("");
  const long: LongOptions = Object.fromEntries(
    specs.flatMap(({ key, kind, short, long: full }) =>
      full === undefined ? [] : [[full, { name: short ?? key, takesArgument: kind === "optional" ? "optional" : takesWord(kind) }]],
    ),
  );
  const { options, operands, problem } = parseWords(argv, { letters, long, inOrder, program: command });
  const found: Record<string, unknown> = {};
  for (const [key, { kind }] of Object.entries(table)) found[key] = kind === "flag" ? false : kind === "values" ? [] : undefined;
  const given: GivenOption<keyof Table>[] = [];
  const objects: string[] = [];
  for (const { name, argument } of options) {
    const { key, kind } = specs.find(({ short, key: full }) => name === short || name === full) ?? { key: name, kind: "flag" };
    if (key === "help") return { options: found as CommandLine<Table>["options"], given, operands, objects, wantsHelp: true };
    if (key === "object") objects.push(argument);
    else {
      given.push({ name: key, text: kind === "flag" ? undefined : argument });
      if (kind === "values") (found[key] as string[]).push(argument);
      else found[key] = kind === "flag" ? true : argument;
    }
  }
  if (problem !== undefined) throw usageFailure(command, problem);
  return { options: found as CommandLine<Table>["options"], given, operands, objects, wantsHelp: false };
}

/** Words that getopt did not take, as qemu-img tells of them. */
export function usageFailure(command: string | undefined, { kind, message, word }: OptionProblem): UsageFailure {
  const what = kind === "missing argument" ? "missing argument for option" : "unrecognized option";
  return new UsageFailure(command, message, `${what} '${word}'`);
}

type KnownSpec = Pick<OptionSpec, "kind" | "short" | "long"> & { readonly key: string };

function knownSpecs(table: OptionTable, isQemu: boolean): readonly KnownSpec[] {
  const isKnown = (name: string | undefined, hidden: readonly string[]): boolean =>
    name !== undefined && !(isQemu && hidden.includes(name));
  return Object.entries(table).flatMap(([key, { kind, short, long, isOwn, besides: hidden = [] }]) => {
    if (isQemu && isOwn === true) return [];
    return [{ key, kind, ...(isKnown(short, hidden) ? { short } : {}), ...(isKnown(long, hidden) ? { long } : {}) }];
  });
}

function takesWord(kind: OptionSpec["kind"]): boolean {
  return kind === "value" || kind === "values";
}

function names(short: Spelling, long: Spelling): Pick<OptionSpec, "short" | "long" | "besides"> {
  const [letter, word] = [short, long].map((name) => (typeof name === "object" ? name.own : name));
  const hidden = [short, long].flatMap((name) => (typeof name === "object" ? [name.own] : []));
  return {
    ...(letter === undefined ? {} : { short: letter }),
    ...(word === undefined ? {} : { long: word }),
    ...(hidden.length === 0 ? {} : { besides: hidden }),
  };
}
