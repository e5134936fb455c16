/** The numbers of the NBD protocol, as proto.md of the NBD project names them. */

/** First words of messages. Eight bytes in the handshake, four bytes afterwards. */
export const MAGIC = {
  greeting: 0x4e42444d41474943n,
  option: 0x49484156454f5054n,
  oldStyle: 0x00420281861253n,
  optionReply: 0x0003e889045565a9n,
  request: 0x25609513,
  extendedRequest: 0x21e41c71,
  simpleReply: 0x67446698,
  structuredReply: 0x668e33ef,
  extendedReply: 0x6e8a278c,
} as const;

/** Bits of both greetings: the server's offer, the client's answer. */
export const HANDSHAKE_FLAG = { fixedNewstyle: 1, noZeroes: 2 } as const;

/** What a client asks for in the handshake. */
export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
} as const;

/** What a server answers to an option. */
export const OPTION_REPLY = { ack: 1, server: 2, info: 3, metaContext: 4 } as const;

/** Refusals of an option: those have bit 31 set. */
export const OPTION_ERROR = {
  unsupported: 0x80000001,
  policy: 0x80000002,
  invalid: 0x80000003,
  platform: 0x80000004,
  tlsRequired: 0x80000005,
  unknown: 0x80000006,
  shutdown: 0x80000007,
  blockSizeRequired: 0x80000008,
  tooBig: 0x80000009,
  extendedHeadersRequired: 0x8000000a,
} as const;

/** Kinds of information about an export. */
export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** What an export can do: the transmission flags. */
export const EXPORT_FLAG = {
  hasFlags: 0x1,
  readOnly: 0x2,
  flush: 0x4,
  forceUnitAccess: 0x8,
  rotational: 0x10,
  trim: 0x20,
  writeZeroes: 0x40,
  dontFragment: 0x80,
  multiConnection: 0x100,
  cache: 0x400,
  fastZero: 0x800,
  blockStatusPayload: 0x1000,
} as const;

/** Requests of the transmission phase. */
export const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, cache: 5, writeZeroes: 6, blockStatus: 7 } as const;

/** Bits beside a request. */
export const COMMAND_FLAG = { forceUnitAccess: 1, noHole: 2, dontFragment: 4, requestOne: 8, fastZero: 16, payload: 32 } as const;

/** Kinds of chunks in structured and extended replies; errors have bit 15 set. */
export const CHUNK = { none: 0, data: 1, hole: 2, blockStatus: 5, blockStatusExtended: 6, error: 0x8001, errorOffset: 0x8002 } as const;

/** The bit of a chunk that is its reply's last. */
export const CHUNK_DONE = 1;

/** Bits of `base:allocation`. */
export const ALLOCATION = { hole: 1, zero: 2 } as const;

/** Bytes: no name, query or message is longer. */
export const MAX_STRING_LENGTH = 4096;

/** Bytes: the payload that everybody takes who was told of no other limit. */
export const MAX_PAYLOAD_LENGTH: number = 32 * 1024 * 1024;

/** The longest effect that fits into a compact header, bytes. */
export const MAX_COMPACT_LENGTH: number = 2 ** 32 - 1;

/** The name of an option or a command, for messages; its number where it has none. */
export function nameOfCode(codes: Readonly<Record<string, number>>, code: number): string {
  const name = Object.keys(codes).find((key) => codes[key] === code);
  return name === undefined ? `number ${code}` : name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
