/** The first words of both sides. proto.md, "Fixed newstyle negotiation". */

import { HANDSHAKE_FLAG, MAGIC } from "./codes.ts";
import { FieldReader } from "./field-reader.ts";
import { FieldWriter } from "./field-writer.ts";
import { expectPeer } from "./protocol-error.ts";

/** Bytes with which every server begins, of the flags that follow in the newstyle, and of the client's answer to them. */
export const GREETING_STYLE_LENGTH = 16;
export const GREETING_FLAGS_LENGTH = 2;
export const CLIENT_GREETING_LENGTH = 4;
/** Bytes that follow instead in the handshake of before 2011: the one export, and padding. */
export const OLD_GREETING_LENGTH = 12;
export const OLD_GREETING_PADDING = 124;
/** Bytes that stand behind the answer to EXPORT_NAME, unless both sides said NO_ZEROES. */
export const EXPORT_NAME_PADDING = 124;

/** What a greeting says. */
export interface Greeting {
  readonly fixedNewstyle: boolean;
  readonly noZeroes: boolean;
}

/** Fixed newstyle, with NO_ZEROES. */
export function encodeServerGreeting(): Buffer {
  const flags = HANDSHAKE_FLAG.fixedNewstyle + HANDSHAKE_FLAG.noZeroes;
  return new FieldWriter().u64(MAGIC.greeting).u64(MAGIC.option).u16(flags).finish();
}

/** The handshake of before 2011 is "old". Throws ProtocolError for another protocol. */
export function decodeGreetingStyle(bytes: Buffer): "old" | "new" {
  const fields = new FieldReader(bytes, "the server's greeting");
  const magic = fields.u64();
  expectPeer(magic === MAGIC.greeting, `this is no NBD server: it begins with 0x${magic.toString(16)}, not with NBDMAGIC`);
  const style = fields.u64();
  expectPeer(
    style === MAGIC.oldStyle || style === MAGIC.option,
    `the server's greeting is of no known style: it has 0x${style.toString(16)}`,
  );
  return style === MAGIC.oldStyle ? "old" : "new";
}

/** What a server of the newstyle offers. */
export function decodeGreetingFlags(bytes: Buffer): Greeting {
  return flagsOf(new FieldReader(bytes, "the server's greeting").u16());
}

/** The export of a server of the old style: bytes, and bits of `EXPORT_FLAG`. Throws ProtocolError for what cannot be. */
export function decodeOldGreeting(bytes: Buffer): { readonly size: number; readonly flags: number } {
  const fields = new FieldReader(bytes, "the server's greeting");
  const size = fields.size();
  const flags = fields.u32();
  expectPeer(flags < 2 ** 16, `the server's export flags (${flags}) are not valid`);
  return { size, flags };
}

/** What the server offers of it. */
export function encodeClientGreeting({ fixedNewstyle, noZeroes }: Greeting): Buffer {
  return new FieldWriter().u32((fixedNewstyle ? HANDSHAKE_FLAG.fixedNewstyle : 0) + (noZeroes ? HANDSHAKE_FLAG.noZeroes : 0)).finish();
}

/** Throws ProtocolError for flags that the server did not offer. */
export function decodeClientGreeting(bytes: Buffer): Greeting {
  const flags = new FieldReader(bytes, "the client's greeting").u32();
  expectPeer(flags <= HANDSHAKE_FLAG.fixedNewstyle + HANDSHAKE_FLAG.noZeroes, `the client asks for unknown handshake flags (${flags})`);
  return flagsOf(flags);
}

function flagsOf(flags: number): Greeting {
  return { fixedNewstyle: (flags & HANDSHAKE_FLAG.fixedNewstyle) !== 0, noZeroes: (flags & HANDSHAKE_FLAG.noZeroes) !== 0 };
}
