/** Headers of requests, compact and extended. proto.md, "Transmission phase". */

import { MAGIC } from "./codes.ts";
import { ProtocolError } from "./protocol-error.ts";

/** Bytes of a request without its payload. */
export const COMPACT_REQUEST_LENGTH = 28;
export const EXTENDED_REQUEST_LENGTH = 32;

/** Eight bytes that come back with the reply, as two numbers of 32 bits. */
export interface Cookie {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

/** Bits of `COMMAND_FLAG`, a number of `COMMAND`; offset and length in bytes. */
export interface RequestHeader extends Cookie {
  readonly flags: number;
  readonly command: number;
  readonly offset: number;
  readonly length: number;
}

const HIGH = 2 ** 32;
/** Larger high words make numbers that are no longer exact. */
const MAX_HIGH = 2 ** 21;

/** Offsets and lengths beyond 2^53 become the largest number, which is beyond every export. Throws ProtocolError where this is no request. */
export function decodeRequest(bytes: Buffer, extended: boolean): RequestHeader {
  const magic = bytes.readUInt32BE(0);
  if (magic !== (extended ? MAGIC.extendedRequest : MAGIC.request))
    throw new ProtocolError(`a request does not begin with its magic number, but with 0x${magic.toString(16)}`);
  return {
    flags: bytes.readUInt16BE(4),
    command: bytes.readUInt16BE(6),
    cookieHigh: bytes.readUInt32BE(8),
    cookieLow: bytes.readUInt32BE(12),
    offset: wide(bytes.readUInt32BE(16), bytes.readUInt32BE(20)),
    length: extended ? wide(bytes.readUInt32BE(24), bytes.readUInt32BE(28)) : bytes.readUInt32BE(24),
  };
}

/** `length` of a compact request must fit into 32 bits. */
export function encodeRequest(request: RequestHeader, extended: boolean): Buffer {
  const bytes = Buffer.allocUnsafe(extended ? EXTENDED_REQUEST_LENGTH : COMPACT_REQUEST_LENGTH);
  bytes.writeUInt32BE(extended ? MAGIC.extendedRequest : MAGIC.request, 0);
  bytes.writeUInt16BE(request.flags, 4);
  bytes.writeUInt16BE(request.command, 6);
  bytes.writeUInt32BE(request.cookieHigh, 8);
  bytes.writeUInt32BE(request.cookieLow, 12);
  writeWide(bytes, 16, request.offset);
  if (extended) writeWide(bytes, 24, request.length);
  else bytes.writeUInt32BE(request.length, 24);
  return bytes;
}

/** Two halves of a number; beyond 2^53 the largest number. */
export function wide(high: number, low: number): number {
  return high < MAX_HIGH ? high * HIGH + low : Number.MAX_SAFE_INTEGER;
}

/** A number of up to 53 bits as eight bytes. */
export function writeWide(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32BE(Math.floor(value / HIGH), at);
  bytes.writeUInt32BE(value % HIGH, at + 4);
}
