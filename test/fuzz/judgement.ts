/** What a fuzz holds every format to: plain errors, and the bytes that an independent reader has. */

import { BlockError, type BlockNode } from "@coblock/core";

/** Guest bytes that are read and compared. */
export interface Window {
  readonly offset: number;
  readonly length: number;
}

/** Says what the format did wrong. */
export function fail(what: string): never {
  throw new Error(what);
}

/** The independent reader, or the rule that the header breaks. */
export function orBrokenRule<T>(makeReader: () => T): T | RangeError {
  try {
    return makeReader();
  } catch (error) {
    if (error instanceof RangeError) return error;
    throw error;
  }
}

/** Answers the `BlockError`, or `undefined` where all went well; any other failure is a bug. */
export async function blockErrorOf(work: () => Promise<unknown>): Promise<BlockError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    if (error.message.length === 0 || /[\n\r]/.test(error.message)) fail(`the message is no line: ${JSON.stringify(error.message)}`);
    return error;
  }
}

/** Reads a window and compares; `expected` is absent where some of it is nowhere. Answers whether it could be read. */
export async function isReadAs(disk: BlockNode, { offset, length }: Window, expected: Uint8Array | undefined): Promise<boolean> {
  const found = new Uint8Array(length).fill(0xee);
  const error = await blockErrorOf(() => disk.read(offset, found));
  if (expected === undefined) {
    if (error?.code !== "CORRUPT_IMAGE") fail(`bytes ${offset} to ${offset + length} are nowhere, and were read: ${String(error)}`);
    return false;
  }
  if (error !== undefined) fail(`bytes ${offset} to ${offset + length} can be read, but: ${error.message}`);
  if (Buffer.compare(expected, found) !== 0) fail(`bytes ${offset} to ${offset + length} are wrong`);
  return true;
}
