/** Numbers as qemu-io reads them: `512`, `0x200`, `1.5k`, `64K`; bytes for patterns in base 8, 10 or 16. */

import { IoFailure } from "./failure.ts";

const SUFFIXES = "bkmgtpe";
/** What a count of bytes can be at the most. */
const LARGEST = 2n ** 63n;

/** Bytes; a larger number than JavaScript counts exactly lies past the end of every disk, as the nearest one does. Throws IoFailure. */
export function parseNumber(text: string): number {
  const match = /^\+?(?:(0x[0-9a-f]+)|(\d+)(?:\.(\d*))?)([bkmgtpe]?)$/i.exec(text);
  if (match === null) throw new IoFailure(`Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- ${text}`);
  const [, hexadecimal, whole = "0", fraction = "", suffix = ""] = match;
  const unit = 1024n ** BigInt(Math.max(SUFFIXES.indexOf(suffix.toLowerCase()), 0));
  if (unit === 1n && /[1-9]/.test(fraction))
    throw new IoFailure(`Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- ${text}`);
  const bytes = BigInt(hexadecimal ?? whole) * unit + (BigInt(fraction === "" ? 0 : fraction) * unit) / 10n ** BigInt(fraction.length);
  if (bytes >= LARGEST) throw new IoFailure(`Parsing error: argument too large -- ${text}`);
  return Number(bytes);
}

/** Whether a number was written in a way that QEMU warns of. */
export function isHexWithSuffix(text: string): boolean {
  return /^0x[0-9a-f]+[kmgtp]$/i.test(text);
}

/** A byte to fill buffers with, or to compare with. Throws IoFailure. */
export function parsePattern(text: string): number {
  const match = /^\s*\+?(?:0x([0-9a-f]+)|0([0-7]+)|(0|[1-9]\d*))$/i.exec(text);
  const [, hexadecimal, octal, decimal] = match ?? [];
  const pattern =
    hexadecimal !== undefined ? Number.parseInt(hexadecimal, 16) : octal !== undefined ? Number.parseInt(octal, 8) : Number(decimal);
  if (match === null || pattern > 255) throw new IoFailure(`${text} is not a valid pattern byte`);
  return pattern;
}
