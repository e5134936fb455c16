/** `-o`: options for new images, by the list that each format has of them. */

import { type BlockDriver, type CreateOption, type CreateValue, FILE_HINTS } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
import { badSizeOptionWords } from "./qemu-words.ts";
import { parseFlag, parseKeyValues, splitAtCommas } from "./text/key-values.ts";
import { FILE_SIZE_LIMIT, parseCount, parseSize } from "./text/size.ts";

export interface CreationOptions {
  /** What the driver takes. */
  readonly values: Readonly<Record<string, CreateValue>>;
  /** What is told to the host's file system, of `FILE_HINTS`. */
  readonly hints: Readonly<Record<string, CreateValue>>;
  /** Flags in the words that were used: `yes`. */
  readonly flagWords: Readonly<Record<string, string>>;
  readonly size: number | undefined;
  readonly backingFile: string | undefined;
  readonly backingFormat: string | undefined;
}

/** Of every format, or of those with backing files. */
const SHARED_OPTIONS: readonly CreateOption[] = [
  { name: "backing_file", type: "text", help: "File name of a base image" },
  { name: "backing_fmt", type: "text", help: "Image format of the base image" },
  { name: "size", type: "size", help: "Virtual disk size" },
];

/** Whether one of the lists asks for help instead. */
export function asksForHelp(lists: readonly string[]): boolean {
  for (const list of lists) checkOptionList(list);
  return lists.some((list) => splitAtCommas(list).some((part) => part === "help" || part === "?"));
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
  const flagWords: Record<string, string> = {};
  const known = [...sharedOptionsOf(driver), ...(driver.createOptions ?? []), ...FILE_HINTS];
  for (const [name, text] of lists.flatMap((list) => [...parseKeyValues(list)])) {
    const option = known.find((candidate) => candidate.name === name);
    if (option === undefined)
      throw new CommandFailure(`Invalid parameter '${name}': format '${driver.name}' does not create images with it`, 1, {
        words: [`Invalid parameter '${name}'`],
      });
    if (option.type === "flag") flagWords[name] = text;
    // Whether it is one of the choices is looked at when the image is made.
    given.set(name, option.type === "choice" ? text : parseOptionValue(option, text));
  }
  const { size, backing_file: backingFile, backing_fmt: backingFormat, ...others } = Object.fromEntries(given);
  const isHint = (name: string): boolean => FILE_HINTS.some((hint) => hint.name === name);
  return {
    flagWords,
    values: Object.fromEntries(Object.entries(others).filter(([name]) => !isHint(name))),
    hints: Object.fromEntries(Object.entries(others).filter(([name]) => isHint(name))),
    size: size === undefined ? undefined : Number(size),
    backingFile: backingFile === undefined ? undefined : String(backingFile),
    backingFormat: backingFormat === undefined ? undefined : String(backingFormat),
  };
}

/** Throws CommandFailure for values that are not among the choices of their option. */
export function checkChoices(driver: BlockDriver, values: CreationOptions["values"]): void {
  for (const option of driver.createOptions ?? [])
    if (option.type === "choice" && values[option.name] !== undefined) parseOptionValue(option, String(values[option.name]));
}

/** Throws CommandFailure for a value that does not fit. */
export function parseOptionValue(option: CreateOption, text: string): CreateValue {
  const { name, type, choices = [] } = option;
  if (type === "size") return reworded(() => parseSize(text, `value for '${name}'`, FILE_SIZE_LIMIT), sizeWords(name, text));
  // A negative number is one, though no option takes it.
  if (type === "number" && /^-\d+$/.test(text)) return Number(text);
  if (type === "number") return reworded(() => parseCount(text, `value for '${name}'`), numberWords(name, text));
  if (type === "flag") return parseFlag(text, name);
  if (type === "choice" && !choices.includes(text))
    throw new CommandFailure(`Parameter '${name}' does not accept value '${text}' (it takes ${choices.join(", ")})`, 1, {
      words: [name === "compat" ? `Invalid compatibility level: '${text}'` : `invalid parameter value: ${text}`],
    });
  return text;
}

function sizeWords(name: string, text: string): string {
  return /^\d+[pe]?$/i.test(text) ? `Value '${text}' is out of range for parameter '${name}'` : badSizeOptionWords(name);
}

function numberWords(name: string, text: string): string {
  return /^\d+$/.test(text) ? `Value '${text}' is too large for parameter '${name}'` : `Parameter '${name}' expects a number`;
}

function reworded<T>(parse: () => T, words: string): T {
  try {
    return parse();
  } catch (cause) {
    throw cause instanceof CommandFailure ? new CommandFailure(cause.message, cause.exitCode, { cause, words: [words] }) : cause;
  }
}

function sharedOptionsOf(driver: BlockDriver): readonly CreateOption[] {
  return SHARED_OPTIONS.filter(({ name }) => name === "size" || driver.optionNames.includes("backing"));
}

/** All that `-o` takes for new images of a format. */
export function creationOptionsOf(driver: BlockDriver): readonly CreateOption[] {
  const shared = sharedOptionsOf(driver);
  const own = (driver.createOptions ?? []).filter(({ name }) => ![...shared, ...FILE_HINTS].some((option) => option.name === name));
  return [...shared, ...own, ...FILE_HINTS];
}
