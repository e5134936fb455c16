/** `-o`: options for new images, by the list that each format has of them. */

import type { BlockDriver, CreateOption, CreateValue } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
import { badSizeOptionWords } from "./qemu-words.ts";
import type { Program } from "./program.ts";
import { parseFlag, parseKeyValues } from "./text/key-values.ts";
import { parseCount, parseSize } from "./text/size.ts";

export interface CreationOptions {
  /** What the driver takes. */
  readonly values: Readonly<Record<string, CreateValue>>;
  readonly size: number | undefined;
  readonly backingFile: string | undefined;
  readonly backingFormat: string | undefined;
}

const SHARED_OPTIONS: readonly CreateOption[] = [
  { name: "backing_file", type: "text", help: "File name of a base image" },
  { name: "backing_fmt", type: "text", help: "Image format of the base image" },
  { name: "size", type: "size", help: "Virtual disk size" },
];

/** Whether one of the lists asks for help instead. */
export function asksForHelp(lists: readonly string[]): boolean {
  for (const list of lists) checkOptionList(list);
  return lists.some((list) => ["help", "?"].some((word) => parseKeyValues(list).has(word)));
}

/** Throws CommandFailure for a list without a name, or with a comma that nothing stands before or behind. */
export function checkOptionList(list: string): void {
  const trailing = /,*$/.exec(list)?.[0].length ?? 0;
  if (list === "" || /^,(?!,)/.test(list) || trailing % 2 === 1) throw new CommandFailure(`Invalid option list: ${list}`);
}

/** Throws CommandFailure for options that the format does not have, and for values that do not fit. */
export function parseCreationOptions(driver: BlockDriver, lists: readonly string[]): CreationOptions {
  for (const list of lists) checkOptionList(list);
  const given = new Map<string, CreateValue>();
  const known = [...sharedOptionsOf(driver), ...(driver.createOptions ?? [])];
  for (const [name, text] of lists.flatMap((list) => [...parseKeyValues(list)])) {
    const option = known.find((candidate) => candidate.name === name);
    if (option === undefined)
      throw new CommandFailure(`Invalid parameter '${name}': format '${driver.name}' does not create images with it`, 1, {
        words: [`Invalid parameter '${name}'`],
      });
    given.set(name, parseOptionValue(option, text));
  }
  const { size, backing_file: backingFile, backing_fmt: backingFormat, ...values } = Object.fromEntries(given);
  return {
    values,
    size: size === undefined ? undefined : Number(size),
    backingFile: backingFile === undefined ? undefined : String(backingFile),
    backingFormat: backingFormat === undefined ? undefined : String(backingFormat),
  };
}

/** Throws CommandFailure for a value that does not fit. */
export function parseOptionValue(option: CreateOption, text: string): CreateValue {
  const { name, type, choices = [] } = option;
  if (type === "size") return reworded(() => parseSize(text, `value for '${name}'`), badSizeOptionWords(name));
  if (type === "number") return reworded(() => parseCount(text, `value for '${name}'`), `Parameter '${name}' expects a number`);
  if (type === "flag") return parseFlag(text, name);
  if (type === "choice" && !choices.includes(text))
    throw new CommandFailure(`Parameter '${name}' does not accept value '${text}' (it takes ${choices.join(", ")})`, 1, {
      words: [name === "compat" ? `Invalid compatibility level: '${text}'` : `invalid parameter value: ${text}`],
    });
  return text;
}

function reworded<T>(parse: () => T, words: string): T {
  try {
    return parse();
  } catch (cause) {
    throw cause instanceof CommandFailure ? new CommandFailure(cause.message, cause.exitCode, { cause, words: [words] }) : cause;
  }
}

const TYPE_NAMES = { size: "size", number: "num", flag: "bool (on/off)", text: "str", choice: "str" } as const;

function sharedOptionsOf(driver: BlockDriver): readonly CreateOption[] {
  return SHARED_OPTIONS.filter(({ name }) => name === "size" || driver.optionNames.includes("backing"));
}

const FURTHER_OPTIONS = "\nThe protocol level may support further options.\nSpecify the target filename to include those options.\n";

/** What `-o help` prints. */
export function describeCreationOptions(driver: BlockDriver, { kind }: Program): string {
  const further = kind === "coblock" ? "" : FURTHER_OPTIONS;
  return `Supported ${driver.name} options:\n${optionLines(creationOptionsOf(driver))}${further}`;
}

/** All that `-o` takes for new images of a format. */
export function creationOptionsOf(driver: BlockDriver): readonly CreateOption[] {
  const shared = sharedOptionsOf(driver);
  return [...shared, ...(driver.createOptions ?? []).filter(({ name }) => !shared.some((option) => option.name === name))];
}

/** One line for each, by name. */
export function optionLines(options: readonly CreateOption[]): string {
  const sorted = [...options].sort((one, other) => (one.name < other.name ? -1 : 1));
  return sorted.map(({ name, type, help }) => `  ${`${name}=<${TYPE_NAMES[type]}>`.padEnd(22)} - ${help}\n`).join("");
}

/** The order of qemu-img's line; formats that it does not have: size, backing file, then as the driver lists them. */
const FORMATTING_ORDER: Readonly<Record<string, readonly string[]>> = {
  qcow2: [
    "encrypt.format",
    "encrypt.key-secret",
    "encrypt.cipher-alg",
    "encrypt.cipher-mode",
    "encrypt.ivgen-alg",
    "encrypt.ivgen-hash-alg",
    "encrypt.hash-alg",
    "encrypt.iter-time",
    "cluster_size",
    "extended_l2",
    "preallocation",
    "compression_type",
    "size",
    "compat",
    "backing_file",
    "backing_fmt",
    "data_file",
    "data_file_raw",
    "lazy_refcounts",
    "refcount_bits",
  ],
  luks: ["size", "key-secret", "cipher-alg", "cipher-mode", "ivgen-alg", "ivgen-hash-alg", "hash-alg", "iter-time", "preallocation"],
  qed: ["size", "backing_file", "backing_fmt", "cluster_size", "table_size"],
  raw: ["size", "preallocation"],
};
/** Options that the line shows also where they were not given. */
const SHOWN_DEFAULTS = ["cluster_size", "compression_type", "extended_l2", "lazy_refcounts", "refcount_bits"];

/** The line `Formatting …`. */
export function describeCreation(
  driver: BlockDriver,
  filename: string,
  size: number,
  { values, backingFile, backingFormat }: CreationOptions,
): string {
  const own = driver.createOptions ?? [];
  const defaults = own.filter(({ name }) => SHOWN_DEFAULTS.includes(name)).map(({ name, defaultValue }) => [name, defaultValue] as const);
  const shown: Readonly<Record<string, CreateValue | undefined>> = {
    ...Object.fromEntries(defaults),
    ...values,
    size,
    backing_file: backingFile,
    backing_fmt: backingFormat,
  };
  const order = FORMATTING_ORDER[driver.name] ?? [...new Set(["size", "backing_file", "backing_fmt", ...own.map(({ name }) => name)])];
  const words = order.flatMap((name) => {
    const value = shown[name];
    return value === undefined ? [] : [`${name}=${typeof value === "boolean" ? (value ? "on" : "off") : value}`];
  });
  return `Formatting '${filename}', fmt=${driver.name} ${words.join(" ")}`;
}
