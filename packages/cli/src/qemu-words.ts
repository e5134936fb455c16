/** What qemu-img says where Coblock's own words are others: one table, for the names qemu-img and qemu-io alone. */

import type { BlockError } from "@coblock/core";

type Wording = readonly [ours: RegExp, theirs: string];

/** Messages of the drivers and of the graph. Those that are not here are the same, or have no counterpart. */
const WORDINGS: readonly Wording[] = [
  [/^Could not create (.*): it is a directory$/s, "Could not create $1: Is a directory"],
  [/^.*: (QED (?:cluster|table) size must be within range .* and power of 2), not \d+$/s, "$1"],
  [/^.*: (Compression not supported for this file format|Invalid password, cannot unlock any keyslot)$/s, "$1"],
  [/^.*: (Can't resize a v2 image which has snapshots)$/s, "$1"],
  [/^'(\w+):.*' is no place to create an image$/s, "Unknown protocol '$1'"],
  [/^Could not open '(.*)': it is a directory$/s, "'file' driver requires '$1' to be a regular file"],
  [/^Could not open '.*': (Unknown protocol '.*')$/s, "$1"],
  [/^.*: \d+ bytes are not whole sectors of 512 bytes$/s, "The new size must be a multiple of 512"],
  [/^.*: the file starts with 0x[0-9a-f]+, not with the magic of qcow2$/s, "Image is not in qcow2 format"],
  [/^.* cannot be opened as QED: the magic number is missing$/s, "Image not in QED format"],
  [/^driver 'file' needs a 'filename', not .*$/, "The 'file' block driver requires a file name"],
  [/^\S+: option '(\w+)' is missing$/, 'A block device must be specified for "$1"'],
  [/^Driver '([^']*)' has no option '([^']*)'; it has .*$/s, "Block format '$1' does not support the option '$2'"],
  [/^The JSON options of '.*' are not an object$/s, "Invalid JSON object given"],
  [/^.*: (Parameter 'encrypt\.key-secret' is required for cipher)$/s, "$1"],
  [/^.*: there is no snapshot .*$/s, "Failed to load snapshot: Can't find snapshot"],

  [/^Unknown compatibility level '(.*)'$/s, "Unknown compatibility level $1"],
  [/^(lazyRefcounts) is true or false, not .*$/s, "Parameter 'lazy-refcounts' expects 'on' or 'off'"],
];

/** The words of qemu-img for a failure of the block layer. */
export function qemuWords({ message }: BlockError): string {
  for (const [ours, theirs] of WORDINGS) if (ours.test(message)) return message.replace(ours, theirs);
  return message;
}

/** Why an image could not be opened, as qemu-img says it behind the name of the image. */
export function openWords(error: BlockError): string {
  const words = qemuWords(error);
  return error.role === "backing" ? `Could not open backing file: ${words}` : words;
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
