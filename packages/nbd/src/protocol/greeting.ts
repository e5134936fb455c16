/** The first words of both sides. proto.md, "Fixed newstyle negotiation". */

import { HANDSHAKE_FLAG, MAGIC } from "./codes.ts";
import { FieldReader } from "./field-reader.ts";
import { FieldWriter } from "./field-writer.ts";
import { expectPeer, ProtocolError } from "./protocol-error.ts";

/** Bytes of the server's greeting, and of the client's answer. */
export const SERVER_GREETING_LENGTH = 18;
export const CLIENT_GREETING_LENGTH = 4;
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

/** Throws ProtocolError for another protocol and for the handshake of before 2011, which has no exports. */
export function decodeServerGreeting(bytes: Buffer): Greeting {
  const fields = new FieldReader(bytes, "the server's greeting");
  expectPeer(fields.u64() === MAGIC.greeting, "this is no NBD server: its first bytes are not NBDMAGIC");
  const style = fields.u64();
  if (style === MAGIC.oldStyle) throw new ProtocolError("the server speaks the old handshake only, and fixed newstyle is needed");
  expectPeer(style === MAGIC.option, "the server's greeting is of no known style");
  return flagsOf(fields.u16());
}

/** Fixed newstyle; `noZeroes` only where the server offers it. */
export function encodeClientGreeting({ noZeroes }: { readonly noZeroes: boolean }): Buffer {
  return new FieldWriter().u32(HANDSHAKE_FLAG.fixedNewstyle + (noZeroes ? HANDSHAKE_FLAG.noZeroes : 0)).finish();
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
