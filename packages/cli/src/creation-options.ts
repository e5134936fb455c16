/** `-o`: options for new images, by the list that each format has of them. */

import type { BlockDriver, CreateOption, CreateValue } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
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
  return lists.some((list) => ["help", "?"].some((word) => parseKeyValues(list).has(word)));
}

/** Throws CommandFailure for options that the format does not have, and for values that do not fit. */
export function parseCreationOptions(driver: BlockDriver, lists: readonly string[]): CreationOptions {
  const given = new Map<string, CreateValue>();
  const known = [...SHARED_OPTIONS, ...(driver.createOptions ?? [])];
  for (const [name, text] of lists.flatMap((list) => [...parseKeyValues(list)])) {
    const option = known.find((candidate) => candidate.name === name);
    if (option === undefined) throw new CommandFailure(`Invalid parameter '${name}': format '${driver.name}' does not create images with it`);
    given.set(name, parseValue(option, text));
  }
  const { size, backing_file: backingFile, backing_fmt: backingFormat, ...values } = Object.fromEntries(given);
  return {
    values,
    size: size === undefined ? undefined : Number(size),
    backingFile: backingFile === undefined ? undefined : String(backingFile),
    backingFormat: backingFormat === undefined ? undefined : String(backingFormat),
  };
}

function parseValue(option: CreateOption, text: string): CreateValue {
  const { name, type, choices = [] } = option;
  if (type === "size") return parseSize(text, `value for '${name}'`);
  if (type === "number") return parseCount(text, `value for '${name}'`);
  if (type === "flag") return parseFlag(text, name);
  if (type === "choice" && !choices.includes(text)) throw new CommandFailure(`Parameter '${name}' does not accept value '${text}' (it takes ${choices.join(", ")})`);
  return text;
}

const TYPE_NAMES = { size: "size", number: "num", flag: "bool (on/off)", text: "str", choice: "str" } as const;

/** What `-o help` prints. */
export function describeCreationOptions(driver: BlockDriver): string {
  const shared = SHARED_OPTIONS.filter(({ name }) => name === "size" || driver.optionNames.includes("backing"));
  const all = [...shared, ...(driver.createOptions ?? [])].sort((one, other) => (one.name < other.name ? -1 : 1));
  const lines = all.map(({ name, type, help }) => `  ${`${name}=<${TYPE_NAMES[type]}>`.padEnd(22)} - ${help}\n`);
  return `Supported ${driver.name} options:\n${lines.join("")}`;
}

/** Where qemu-img's line differs from the order in which the driver lists its options. */
const SIZE_GOES_AFTER: Readonly<Record<string, string>> = { qcow2: "compression_type" };
const BACKING_GOES_AFTER: Readonly<Record<string, string>> = { qcow2: "compat" };

/** The line `Formatting …`: all values that are given or have a default. */
export function describeCreation(driver: BlockDriver, filename: string, size: number, { values, backingFile, backingFormat }: CreationOptions): string {
  const words: string[] = [];
  const put = (name: string, value: CreateValue | undefined): void => {
    if (value !== undefined) words.push(`${name}=${typeof value === "boolean" ? (value ? "on" : "off") : value}`);
  };
  const putSize = (): void => put("size", size);
  const putBacking = (): void => {
    put("backing_file", backingFile);
    put("backing_fmt", backingFormat);
  };
  const sizeAfter = SIZE_GOES_AFTER[driver.name];
  const backingAfter = BACKING_GOES_AFTER[driver.name];
  if (sizeAfter === undefined) putSize();
  if (backingAfter === undefined) putBacking();
  for (const { name, defaultValue } of driver.createOptions ?? []) {
    put(name, values[name] ?? (name === "preallocation" || name === "compat" ? undefined : defaultValue));
    if (name === sizeAfter) putSize();
    if (name === backingAfter) putBacking();
  }
  return `Formatting '${filename}', fmt=${driver.name} ${words.join(" ")}`;
}
