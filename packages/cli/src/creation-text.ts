/** What is printed of the options of new images: their list, and the line that tells of an image that is made. */

import { FILE_HINTS, parseFileName, PREALLOCATION_OPTION, type BlockDriver, type CreateOption, type CreateValue } from "@coblock/core";
import { creationOptionsOf, type CreationOptions } from "./creation-options.ts";
import { DRIVERS } from "./drivers.ts";
import { CommandFailure } from "./failure.ts";
import type { Program } from "./program.ts";

const TYPE_NAMES = { size: "size", number: "num", flag: "bool (on/off)", text: "str", choice: "str" } as const;

const FURTHER_OPTIONS = "\nThe protocol level may support further options.\nSpecify the target filename to include those options.\n";

/** Formats whose file is preallocated by the host alone: to qemu-img that is an option of the file. */
const PREALLOCATED_BY_HOST = ["raw", "qed", "luks"];
/** Where Coblock has less to offer than qemu-img, it says so when it is asked for. */
const QEMU_HELP: Readonly<Record<string, string>> = {
  "encrypt.format": "Encrypt the image, format choices: 'aes', 'luks'",
  encryption: "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)",
  "encrypt.key-secret": "ID of secret providing qcow AES key or LUKS passphrase",
};

/** What `-o help` prints. As qemu-img the options of the host's file are left out where no `filename` says that it is one. */
export function describeCreationOptions(driver: BlockDriver, filename: string | undefined, { kind }: Program): string {
  if (driver.create === undefined) throw new CommandFailure(`Format driver '${driver.name}' does not support image creation`);
  if (kind === "coblock") return `Supported ${driver.name} options:\n${optionLines(creationOptionsOf(driver))}`;
  const own = creationOptionsOf(driver).filter(({ name }) => !FILE_HINTS.some((hint) => hint.name === name));
  const worded = own.map((option) => ({ ...option, help: QEMU_HELP[option.name] ?? option.help }));
  const isOfFile = ({ name }: CreateOption): boolean => name === "preallocation" && PREALLOCATED_BY_HOST.includes(driver.name);
  const formatOptions = worded.filter((option) => !isOfFile(option));
  const hints = driver.name === "file" ? FILE_HINTS : [];
  if (filename === undefined) return `Supported ${driver.name} options:\n${optionLines([...formatOptions, ...hints])}${FURTHER_OPTIONS}`;
  const isFile = protocolOf(filename) === "file";
  const hasPreallocation = formatOptions.some(({ name }) => name === "preallocation");
  const ofFile = [...FILE_HINTS, ...(hasPreallocation ? [] : [PREALLOCATION_OPTION])];
  return `Supported options:\n${optionLines([...formatOptions, ...(isFile ? ofFile : hints)])}`;
}

/** Where a new image is to be; throws CommandFailure for a place where none can be made. */
export function protocolOf(filename: string): string {
  const parsed = parseFileName(filename);
  const protocol = parsed.kind === "json" ? "json" : (parsed.protocol ?? "file");
  if (protocol !== "file" && !DRIVERS.some(({ name, kind }) => kind === "protocol" && name === protocol))
    throw new CommandFailure(`Unknown protocol '${protocol}'`);
  if (protocol !== "file" && protocol !== "nbd") throw new CommandFailure(`Protocol driver '${protocol}' does not support image creation`);
  return protocol;
}

/** One line for each, by name. */
export function optionLines(options: readonly CreateOption[]): string {
  const sorted = [...options].sort((one, other) => (one.name < other.name ? -1 : 1));
  return sorted.map(({ name, type, help }) => `  ${`${name}=<${TYPE_NAMES[type]}>`.padEnd(22)} - ${help}\n`).join("");
}

const OF_FILE = ["nocow", "preallocation", "extent_size_hint"];
/** The order of qemu-img's line; formats that it does not have: size, backing file, then as the driver lists them. */
const FORMATTING_ORDER: Readonly<Record<string, readonly string[]>> = {
  qcow2: [
    "encryption",
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
    "nocow",
    "extent_size_hint",
  ],
  luks: ["size", "key-secret", "cipher-alg", "cipher-mode", "ivgen-alg", "ivgen-hash-alg", "hash-alg", "iter-time", ...OF_FILE],
  qed: ["size", "backing_file", "backing_fmt", "cluster_size", "table_size", ...OF_FILE],
  raw: ["size", ...OF_FILE],
  file: ["size", ...OF_FILE],
};
/** Options that the line shows also where they were not given. */
const SHOWN_DEFAULTS = ["cluster_size", "compression_type", "extended_l2", "lazy_refcounts", "refcount_bits"];

/** The line `Formatting …`. */
export function describeCreation(
  driver: BlockDriver,
  filename: string,
  size: number,
  { values, hints, flagWords, backingFile, backingFormat }: CreationOptions,
): string {
  const own = driver.createOptions ?? [];
  const defaults = own.filter(({ name }) => SHOWN_DEFAULTS.includes(name)).map(({ name, defaultValue }) => [name, defaultValue] as const);
  const shown: Readonly<Record<string, CreateValue | undefined>> = {
    ...Object.fromEntries(defaults),
    ...values,
    ...hints,
    ...flagWords,
    size,
    backing_file: backingFile,
    backing_fmt: backingFormat,
  };
  const order = FORMATTING_ORDER[driver.name] ?? [...new Set(["size", "backing_file", "backing_fmt", ...own.map(({ name }) => name)])];
  const words = order.flatMap((name) => {
    const value = shown[name];
    return value === undefined
      ? []
      : [`${name}=${typeof value === "boolean" ? (value ? "on" : "off") : String(value).replaceAll(",", ",,")}`];
  });
  return `Formatting '${filename}', fmt=${driver.name} ${words.join(" ")}`;
}
