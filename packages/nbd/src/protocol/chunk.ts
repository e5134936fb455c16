/** Payloads of structured and extended reply chunks. proto.md, "Structured reply types". */

import { MAX_STRING_LENGTH } from "./codes.ts";
import { FieldReader } from "./field-reader.ts";
import { truncateText } from "./field-writer.ts";
import { expectPeer } from "./protocol-error.ts";
import { writeWide } from "./request.ts";

/** Bytes of the offset in front of data, and of the whole payload of a hole. */
export const DATA_PREFIX_LENGTH = 8;
export const HOLE_LENGTH = 12;
/** The longest payload of an error: number, length, text, offset. */
export const MAX_ERROR_LENGTH: number = 4 + 2 + MAX_STRING_LENGTH + 8;
/** Extents in one chunk at the most. */
export const MAX_EXTENTS: number = 2 ** 20;

/** Bytes of equal state: the bits, or the value, of one metadata context. */
export interface StatusExtent {
  readonly length: number;
  readonly flags: number;
}

/** What one metadata context says of a range. */
export interface ContextStatus {
  readonly contextId: number;
  readonly extents: readonly StatusExtent[];
}

/** Payload of an ERROR chunk; the text is cut to 4096 bytes. */
export function encodeError(errno: number, message: string): Buffer {
  const text = truncateText(message);
  const bytes = Buffer.alloc(6 + text.length);
  bytes.writeUInt32BE(errno, 0);
  bytes.writeUInt16BE(text.length, 4);
  text.copy(bytes, 6);
  return bytes;
}

/** `hasOffset`: the type is ERROR_OFFSET. Throws ProtocolError for an error without number and for lengths that do not fit. */
export function decodeError(payload: Buffer, hasOffset: boolean): { readonly errno: number; readonly message: string } {
  const fields = new FieldReader(payload, "an error chunk");
  const errno = fields.u32();
  expectPeer(errno !== 0, "an error chunk has error number 0");
  const message = fields.text(fields.u16());
  if (hasOffset) fields.u64();
  fields.end();
  return { errno, message };
}

/** Payload of a hole; `length` fits into 32 bits. */
export function encodeHole(offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(HOLE_LENGTH);
  writeWide(bytes, 0, offset);
  bytes.writeUInt32BE(length, 8);
  return bytes;
}

/** Throws ProtocolError for a hole of no bytes. */
export function decodeHole(payload: Buffer): { readonly offset: number; readonly length: number } {
  const fields = new FieldReader(payload, "a hole chunk");
  const hole = { offset: fields.size(), length: fields.u32() };
  fields.end();
  expectPeer(hole.length > 0, "a hole chunk has length 0");
  return hole;
}

/** Payload of a status chunk; lengths fit into 32 bits unless `extended`. */
export function encodeBlockStatus({ contextId, extents }: ContextStatus, extended: boolean): Buffer {
  const bytes = Buffer.alloc(extended ? 8 + extents.length * 16 : 4 + extents.length * 8);
  bytes.writeUInt32BE(contextId, 0);
  if (extended) bytes.writeUInt32BE(extents.length, 4);
  let at = extended ? 8 : 4;
  for (const { length, flags } of extents) {
    if (extended) {
      writeWide(bytes, at, length);
      writeWide(bytes, at + 8, flags);
      at += 16;
    } else {
      bytes.writeUInt32BE(length, at);
      bytes.writeUInt32BE(flags, at + 4);
      at += 8;
    }
  }
  return bytes;
}

/** Throws ProtocolError for no extents, too many, and extents of no bytes. */
export function decodeBlockStatus(payload: Buffer, extended: boolean): ContextStatus {
  const fields = new FieldReader(payload, "a block status chunk");
  const contextId = fields.u32();
  const each = extended ? 16 : 8;
  const count = extended ? fields.u32() : fields.left / each;
  expectPeer(Number.isInteger(count) && count * each === fields.left, `a block status chunk has ${fields.left} bytes, no whole extents`);
  expectPeer(count > 0 && count <= MAX_EXTENTS, `a block status chunk has ${count} extents`);
  const extents = Array.from({ length: count }, () =>
    extended ? { length: fields.size(), flags: clampFlags(fields.u64()) } : { length: fields.u32(), flags: fields.u32() },
  );
  expectPeer(
    extents.every(({ length }) => length > 0),
    "a block status chunk has an extent of length 0",
  );
  return { contextId, extents };
}

/** Flags beyond 2^53 are of no context that is known here; the lower half is kept. */
function clampFlags(flags: bigint): number {
  return Number(BigInt.asUintN(32, flags));
}
