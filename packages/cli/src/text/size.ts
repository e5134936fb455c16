/** Sizes as qemu-img writes and reads them: `1 GiB`, `1.5G`, `0x1000`. */

import { CommandFailure } from "../failure.ts";
import { badSizeWords, sizeRangeWords } from "../qemu-words.ts";
import { formatThreeDigits } from "./fixed.ts";

const SUFFIXES = "BKMGTPE";
const BINARY_PREFIXES = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/** Bytes in a unit that keeps the number below 1000, three significant digits. */
export function formatSize(bytes: number): string {
  let unit = 0;
  while (unit < BINARY_PREFIXES.length - 1 && bytes * 1.024 >= 1024 ** (unit + 1)) unit++;
  return `${formatThreeDigits(bytes / 1024 ** unit)} ${BINARY_PREFIXES[unit] ?? ""}B`;
}

/** One past the largest offset of a file. */
export const FILE_SIZE_LIMIT: number = 2 ** 63;

/**
 * Bytes from a number with an optional suffix (b, k, M, G, T, P, E; powers of 1024); fractions need a suffix. `what` is named in the refusal.
 * Below `limit`: from 2^53 on not to the byte.
 */
export function parseSize(text: string, what: string, limit: number = Number.MAX_SAFE_INTEGER + 1): number {
  const trimmed = text.replace(/^\s*\+?/, "");
  const match = /^(?:(0x[0-9a-f]+)|(\d+(?:\.\d*)?))([bkmgtpe]?)$/i.exec(trimmed);
  if (match === null) throw invalid(text, what);
  const [, hexadecimal, decimal = "", suffix = ""] = match;
  const unit = 1024 ** Math.max(SUFFIXES.indexOf(suffix.toUpperCase()), 0);
  if (unit === 1 && /\.0*[1-9]/.test(decimal)) throw invalid(text, what);
  // "0x1b" and "0x1e" end in a digit, not in a suffix: the pattern takes as many digits as it can.
  const bytes = Math.floor(Number(hexadecimal ?? decimal) * unit);
  if (bytes >= limit)
    throw new CommandFailure(`Invalid ${what} specified: '${text}' is more than 8 PiB`, 1, { words: sizeRangeWords(what) });
  return bytes;
}

/** A whole decimal or hexadecimal number, of at least 0. */
export function parseCount(text: string, what: string): number {
  const count = /^(?:0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(count))
    throw new CommandFailure(`Invalid ${what} specified: '${text}'`, 1, { words: [`Invalid ${what} specified`] });
  return count;
}

function invalid(text: string, what: string): CommandFailure {
  const message = `Invalid ${what} specified: '${text}' (a number of bytes, or with one of the suffixes k, M, G, T, P and E)`;
  return new CommandFailure(message, 1, { words: badSizeWords(what) });
}
