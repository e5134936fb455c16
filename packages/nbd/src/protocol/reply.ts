/** Headers of replies: simple, structured chunks, extended chunks. proto.md, "Simple reply message", "Structured reply chunk message". */

import { MAGIC } from "./codes.ts";
import { ProtocolError } from "./protocol-error.ts";
import { type Cookie, wide, writeWide } from "./request.ts";

/** How a connection answers: what was negotiated. */
export type ReplyStyle = "simple" | "structured" | "extended";

export const SIMPLE_REPLY_LENGTH = 16;
export const CHUNK_HEADER_LENGTH: Readonly<Record<Exclude<ReplyStyle, "simple">, number>> = { structured: 20, extended: 32 };

/** A whole reply without its data, or the beginning of one chunk of it. */
export type ReplyHeader =
  | ({ readonly kind: "simple"; readonly error: number } & Cookie)
  | ({ readonly kind: "chunk"; readonly flags: number; readonly type: number; readonly length: number } & Cookie);

/** One chunk as it goes out; `length` is that of its payload and `requestOffset` is echoed in extended ones. */
export interface ChunkHeader extends Cookie {
  readonly flags: number;
  readonly type: number;
  readonly length: number;
  readonly requestOffset: number;
}

/** Bytes of the header that begins with this magic number, under the style that was negotiated; throws ProtocolError for any other. */
export function replyHeaderLength(bytes: Buffer, style: ReplyStyle): number {
  const magic = bytes.readUInt32BE(0);
  if (magic === MAGIC.simpleReply && style !== "extended") return SIMPLE_REPLY_LENGTH;
  if (magic === MAGIC.structuredReply && style === "structured") return CHUNK_HEADER_LENGTH.structured;
  if (magic === MAGIC.extendedReply && style === "extended") return CHUNK_HEADER_LENGTH.extended;
  throw new ProtocolError(`a reply begins with 0x${magic.toString(16)}, which is not how ${style} replies begin`);
}

/** `bytes` is as long as `replyHeaderLength` said. */
export function decodeReply(bytes: Buffer): ReplyHeader {
  const cookie = { cookieHigh: bytes.readUInt32BE(8), cookieLow: bytes.readUInt32BE(12) };
  if (bytes.length === SIMPLE_REPLY_LENGTH) return { kind: "simple", error: bytes.readUInt32BE(4), ...cookie };
  const length =
    bytes.length === CHUNK_HEADER_LENGTH.structured ? bytes.readUInt32BE(16) : wide(bytes.readUInt32BE(24), bytes.readUInt32BE(28));
  return { kind: "chunk", flags: bytes.readUInt16BE(4), type: bytes.readUInt16BE(6), length, ...cookie };
}

/** Writes the header at `at`; `error` is an error number or 0. */
export function writeSimpleReply(into: Buffer, at: number, cookie: Cookie, error: number): void {
  into.writeUInt32BE(MAGIC.simpleReply, at);
  into.writeUInt32BE(error, at + 4);
  into.writeUInt32BE(cookie.cookieHigh, at + 8);
  into.writeUInt32BE(cookie.cookieLow, at + 12);
}

/** Writes the header at `at`; answers its length. */
export function writeChunkHeader(into: Buffer, at: number, chunk: ChunkHeader, extended: boolean): number {
  into.writeUInt32BE(extended ? MAGIC.extendedReply : MAGIC.structuredReply, at);
  into.writeUInt16BE(chunk.flags, at + 4);
  into.writeUInt16BE(chunk.type, at + 6);
  into.writeUInt32BE(chunk.cookieHigh, at + 8);
  into.writeUInt32BE(chunk.cookieLow, at + 12);
  if (!extended) {
    into.writeUInt32BE(chunk.length, at + 16);
    return CHUNK_HEADER_LENGTH.structured;
  }
  writeWide(into, at + 16, chunk.requestOffset);
  writeWide(into, at + 24, chunk.length);
  return CHUNK_HEADER_LENGTH.extended;
}
