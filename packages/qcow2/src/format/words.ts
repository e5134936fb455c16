/** Reading and writing of big-endian numbers: 64-bit offsets as plain numbers, exact up to 2^53 − 1. */

import { BlockError } from "@coblock/core";

export const TWO_32 = 0x1_0000_0000;

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * The 64-bit number at `at`. Throws CORRUPT_IMAGE where it is 2^53 or more: no offset, length or count of a real file is.
 * `field` names it in the message.
 */
export function readNumber64(view: DataView, at: number, field: string): number {
  const high = view.getUint32(at);
  const value = high * TWO_32 + view.getUint32(at + 4);
  if (high >= 0x20_0000)
    throw new BlockError("CORRUPT_IMAGE", `${field} is 0x${view.getBigUint64(at).toString(16)}, which is larger than 8 PiB`);
  return value;
}

/** Writes a safe integer as 64 bits. */
export function writeNumber64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / TWO_32));
  view.setUint32(at + 4, value % TWO_32);
}

/** A safe integer as 8 bytes. */
export function bytesOf64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeNumber64(viewOf(bytes), 0, value);
  return bytes;
}

/** Text of a header field, up to the first NUL. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
