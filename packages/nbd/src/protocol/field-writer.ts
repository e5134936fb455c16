/** Builds the bytes of one message, field by field, big-endian. */

import { MAX_STRING_LENGTH } from "./codes.ts";

/** For messages of the handshake, which are few and small. */
export class FieldWriter {
  readonly #pieces: Buffer[] = [];

  u16(value: number): this {
    const piece = Buffer.allocUnsafe(2);
    piece.writeUInt16BE(value);
    return this.bytes(piece);
  }

  u32(value: number): this {
    const piece = Buffer.allocUnsafe(4);
    piece.writeUInt32BE(value);
    return this.bytes(piece);
  }

  u64(value: bigint): this {
    const piece = Buffer.allocUnsafe(8);
    piece.writeBigUInt64BE(value);
    return this.bytes(piece);
  }

  bytes(piece: Buffer): this {
    this.#pieces.push(piece);
    return this;
  }

  text(value: string): this {
    return this.bytes(truncateText(value));
  }

  /** A string in front of which its length stands. */
  countedText(value: string): this {
    const piece = truncateText(value);
    return this.u32(piece.length).bytes(piece);
  }

  finish(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}

/** UTF-8, cut in front of the first character that goes past the longest string that peers take. */
export function truncateText(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  if (bytes.length <= MAX_STRING_LENGTH) return bytes;
  let end = MAX_STRING_LENGTH;
  while (end > 0 && isContinuation(bytes[end])) end--;
  return bytes.subarray(0, end);
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x80 && byte < 0xc0;
}
