/** Options of the handshake and their replies: the envelope. proto.md, "Option haggling". */

import { MAGIC } from "./codes.ts";
import { FieldReader } from "./field-reader.ts";
import { FieldWriter } from "./field-writer.ts";
import { expectPeer } from "./protocol-error.ts";

/** Bytes in front of the data of an option, and of a reply. */
export const OPTION_HEADER_LENGTH = 16;
export const OPTION_REPLY_HEADER_LENGTH = 20;

/** What a client is about to ask, and how many bytes of data follow. */
export interface OptionHeader {
  readonly option: number;
  readonly length: number;
}

/** What a server answers to which option, and how many bytes of data follow. */
export interface OptionReplyHeader extends OptionHeader {
  readonly type: number;
}

/** A whole option. */
export function encodeOption(option: number, data: Buffer = Buffer.alloc(0)): Buffer {
  return new FieldWriter().u64(MAGIC.option).u32(option).u32(data.length).bytes(data).finish();
}

/** Throws ProtocolError where this is no option. */
export function decodeOptionHeader(bytes: Buffer): OptionHeader {
  const fields = new FieldReader(bytes, "an option");
  expectPeer(fields.u64() === MAGIC.option, "an option does not begin with IHAVEOPT");
  return { option: fields.u32(), length: fields.u32() };
}

/** A whole reply to an option. */
export function encodeOptionReply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  return new FieldWriter().u64(MAGIC.optionReply).u32(option).u32(type).u32(data.length).bytes(data).finish();
}

/** Throws ProtocolError where this is no reply to an option. */
export function decodeOptionReplyHeader(bytes: Buffer): OptionReplyHeader {
  const fields = new FieldReader(bytes, "an option reply");
  expectPeer(fields.u64() === MAGIC.optionReply, "a reply to an option does not begin with its magic number");
  return { option: fields.u32(), type: fields.u32(), length: fields.u32() };
}
