/** What qemu-img says where Coblock's own words are others: one table, for the names qemu-img and qemu-io alone. */

import type { BlockDriver, BlockError } from "@coblock/core";
import { systemWords } from "./io/failure.ts";
import { nbdWordings } from "./qemu-nbd-words.ts";
import type { Wording } from "./wording.ts";

/** Messages of the drivers and of the graph. Those that are not here are the same, or have no counterpart. */
const WORDINGS: readonly Wording[] = [
  [/^Could not create (.*): it is a directory$/s, "Could not create $1: Is a directory"],
  [/^.*: (QED (?:cluster|table) size must be within range .* and power of 2), not \d+$/s, "$1"],
  [/^.*: (Compression not supported for this file format|Invalid password, cannot unlock any keyslot)$/s, "$1"],
  [
    /^.*: the backing file is longer than the image and would show in the new area.*$/s,
    "Failed to zero out new clusters: Operation not supported",
  ],
  [/^.*: (Can't resize a v2 image which has snapshots)$/s, "$1"],
  [/^.*: qcow2 version (\d+) is not supported$/s, "Unsupported qcow2 version $1"],
  [/^.*: (Preallocation can't be used for shrinking an image)$/s, "$1"],
  [/^'(\w+):.*' is no place to create an image$/s, "Unknown protocol '$1'"],
  [/^Could not open '(.*)': it is a directory$/s, "'file' driver requires '$1' to be a regular file"],
  [/^Could not open '.*': (Unknown protocol '.*')$/s, "$1"],
  [/^.*: \d+ bytes are not whole sectors of 512 bytes$/s, "The new size must be a multiple of 512"],
  [/^.*: the file starts with 0x[0-9a-f]+, not with the magic of qcow2$/s, "Image is not in qcow2 format"],
  [/^.* cannot be opened as QED: the magic number is missing$/s, "Image not in QED format"],
  [/^driver 'file' needs a 'filename', not .*$/, "The 'file' block driver requires a file name"],
  [/^\S+: option '(\w+)' is missing$/, 'A block device must be specified for "$1"'],
  [
    /^Driver '(file|nbd|https?|null-co|null-aio|blkdebug|blkverify)' has no option '([^']*)'; it has .*$/s,
    (_, driver = "", option = "") => `Block protocol '${driver}' doesn't support the option '${qemuName(option)}'`,
  ],
  [
    /^Driver '([^']*)' has no option '([^']*)'; it has .*$/s,
    (_, driver = "", option = "") => `Block format '${driver}' does not support the option '${qemuName(option)}'`,
  ],
  [
    /^.*: offset (\d+) and size (\d+) reach behind the end of the file, which has (\d+) bytes$/s,
    "The sum of offset ($1) and size ($2) has to be smaller or equal to the  actual size of the containing file ($3)",
  ],
  [
    /^.*: offset (\d+) is behind the end of the file, which has (\d+) bytes$/s,
    "Offset ($1) cannot be greater than size of the containing file ($2)",
  ],
  [/^.* cannot be resized to \d+ bytes: QED images do not shrink.*$/s, "Shrinking images is currently not supported"],
  [/^.* cannot be resized to \d+ bytes: QED has no preallocation '(.*)'$/s, "Unsupported preallocation mode '$1'"],
  [/^'.*': Unsupported preallocation mode '(metadata)'$/s, "Unsupported preallocation mode: $1"],
  [/^.*: driver '.*' cannot resize$/s, "Image format driver does not support resize"],
  [/^.*: option '(\S+)' is \S+, not a number of bytes$/s, (_, option = "") => badSizeOptionWords(qemuName(option))],
  [/^The JSON options of '.*' are not an object$/s, "Invalid JSON object given"],
  [/^Can't store persistent bitmaps to .*$/s, "Can't store persistent bitmaps to #block1: Operation not supported"],
  ...nbdWordings,
  [/^.*: (Parameter 'encrypt\.key-secret' is required for cipher)$/s, "$1"],
  [/^.*: there is no snapshot .*$/s, "Failed to load snapshot: Can't find snapshot"],

  [/^Unknown compatibility level '(.*)'$/s, "Unknown compatibility level $1"],
  [/^(lazyRefcounts) is true or false, not .*$/s, "Parameter 'lazy-refcounts' expects 'on' or 'off'"],
];

/** `lazyRefcounts` is `lazy-refcounts`. */
function qemuName(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The words of qemu-img for a failure of the block layer. */
export function qemuWords({ message }: BlockError): string {
  for (const [ours, theirs] of WORDINGS)
    if (ours.test(message)) return typeof theirs === "string" ? message.replace(ours, theirs) : message.replace(ours, theirs);
  return message;
}

/** The same for a new image of that format: what its options cannot be is told in the format's own way. */
export function creationWords(driver: BlockDriver, error: BlockError): string {
  const { message } = error;
  const [, compatibility] = /^Unknown compatibility level '(.*)'$/s.exec(message) ?? [];
  if (compatibility !== undefined) return `Parameter 'version' does not accept value '${compatibility}'`;
  if (message.startsWith("driver 'file' needs a 'filename'")) return "Could not create '': No such file or directory";
  const [, name, value] = /^Invalid parameter '(\S+)': '(.*)' is not one of .*$/s.exec(message) ?? [];
  if (name === undefined) return growthWords(driver, error) ?? qemuWords(error);
  if (driver.name === "qcow2") return `Parameter '${name.replaceAll("_", "-")}' does not accept value '${value}'`;
  return value === "metadata" ? `Unsupported preallocation mode: ${value}` : `invalid parameter value: ${value}`;
}

/** The file of a new image could not become as large, or be allocated as far, as it should be. */
function growthWords(driver: BlockDriver, { message }: BlockError): string | undefined {
  const [, resize] = /^Could not resize '.*' to \d+ bytes: (.*)$/s.exec(message) ?? [];
  if (resize !== undefined) return `Could not resize file: ${resize}`;
  const [, allocation] = /^Could not preallocate \d+ bytes for '.*': (.*)$/s.exec(message) ?? [];
  const [, zeros] = /^Could not write \d+ bytes at offset .* of '.*': (.*)$/s.exec(message) ?? [];
  if (allocation === undefined && zeros === undefined) return undefined;
  const what = allocation === undefined ? `write zeros for preallocation: ${zeros}` : `preallocate new data: ${allocation}`;
  return `${driver.name === "qcow2" ? "Could not resize image: Failed to resize underlying file: " : ""}Could not ${what}`;
}

/** Why an image could not be opened, as qemu-img says it behind the name of the image. */
export function openWords(error: BlockError, writable: boolean = false): string {
  const [, folder] = /^Could not open '(.*)': it is a directory$/s.exec(error.message) ?? [];
  if (error.wanted !== undefined) return withRole(error, `${WANTED[error.wanted]}: ${systemWords(error)}`);
  const words = writable && folder !== undefined ? `Could not open '${folder}': Is a directory` : qemuWords(error);
  return withRole(error, words);
}

const WANTED = { format: "Could not read image for determining its format", header: "Could not read qcow2 header" } as const;

function withRole({ role }: BlockError, words: string): string {
  // qemu-img opens backing files to read them, also those that it then writes to.
  const below = words.replace(/^Failed to get "write" lock/, 'Failed to get shared "write" lock');
  return role === "backing" ? `Could not open backing file: ${below}` : words;
}

/** A size that is none, for the messages of `what`. */
export function badSizeWords(what: string): readonly string[] {
  return [
    `Invalid ${what} specified. You may use k, M, G, T, P or E suffixes for`,
    "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.",
  ];
}

/** A size outside of what is allowed. */
export function sizeRangeWords(what: string, least: number = 0, most: string = "9223372036854775807"): readonly string[] {
  return [`Invalid ${what} specified. Must be between ${least} and ${most}.`];
}

/** The value of a named option that is no size. */
export function badSizeOptionWords(name: string): string {
  return `Parameter '${name}' expects a non-negative number below 2^64\nOptional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.`;
}

/** An image whose format was only guessed is going to be written. */
export function guessedRawWords(name: string): readonly string[] {
  return [
    `WARNING: Image format was not specified for '${name}' and probing guessed raw.`,
    "         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.",
    "         Specify the 'raw' format explicitly to remove the restrictions.",
  ];
}
