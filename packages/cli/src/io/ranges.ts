/** Offsets and lengths of requests, within what one request can have. */

import { IoFailure } from "./failure.ts";
import type { Shell } from "./shell.ts";

/** Bytes: QEMU's longest request. */
const MAX_REQUEST = 2_147_483_136;

const SECTOR_LENGTH = 512;

/** Bytes. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Two words; the length has a limit unless `limited` is false, which `how` says in the message. Throws IoFailure. */
export function parseRange(
  shell: Shell,
  [offsetWord = "", lengthWord = ""]: readonly string[],
  { how = "", limited = true }: { readonly how?: string; readonly limited?: boolean } = {},
): Range {
  const offset = shell.number(offsetWord);
  const length = shell.number(lengthWord);
  if (limited && length > MAX_REQUEST) throw new IoFailure(`length cannot exceed ${MAX_REQUEST}${how}, given ${lengthWord}`);
  return { offset, length };
}

/** Throws IoFailure for a range that is not of whole sectors; the words are shown. */
export function checkSectors([offsetWord = "", lengthWord = ""]: readonly string[], { offset, length }: Range): void {
  if (offset % SECTOR_LENGTH !== 0) throw new IoFailure(`${offsetWord} is not a sector-aligned value for 'offset'`);
  if (length % SECTOR_LENGTH !== 0) throw new IoFailure(`${lengthWord} is not a sector-aligned value for 'count'`);
}

/** The sum of the lengths of several buffers. Throws IoFailure. */
export function parseLengths(shell: Shell, words: readonly string[]): number {
  let sum = 0;
  for (const word of words) {
    const length = shell.number(word);
    if (length > MAX_REQUEST) throw new IoFailure(`Argument '${word}' exceeds maximum size ${MAX_REQUEST}`);
    sum += length;
    if (sum > MAX_REQUEST) throw new IoFailure(`The total number of bytes exceed the maximum size ${MAX_REQUEST}`);
  }
  return sum;
}
