/** Compression by libraries of the host, called through koffi: the zlib that is in Node itself, and the system's libzstd. */

import { CodecLibrary } from "./codec-library.ts";
import { findDeflate } from "./deflate-codec.ts";
import { findZstd } from "./zstd-codec.ts";

/** One call is one unit; any number of calls at a time. */
export interface HostCodec {
  /** Bytes of the compressed unit, which is now in `into`; `undefined`: there is no room for it. */
  compress(from: Uint8Array, into: Uint8Array): Promise<number | undefined>;
  /** Bytes of `into` that could be filled: fewer than it has where `from` ends or is damaged. What follows a full unit is not looked at. */
  decompress(from: Uint8Array, into: Uint8Array): Promise<number>;
}

/** Each is absent where the host does not have the library. Streams are kept and used again, which saves a fifth of an inflate. */
export interface HostCodecs {
  /** Raw deflate (RFC 1951), written with a window of 4 KiB and zlib's default level. */
  readonly deflate?: HostCodec;
  /** Zstandard frames (RFC 8878), written with the library's default level. */
  readonly zstd?: HostCodec;
}

/** Pointers, sizes and `long` have 64 bits, the lowest first: what the structures of the codecs are written for. */
const ARCHITECTURES: readonly string[] = ["x64", "arm64", "riscv64", "loong64"];
const ZSTD_NAMES: Readonly<Partial<Record<NodeJS.Platform, string>>> = { linux: "libzstd.so.1", darwin: "libzstd.1.dylib" };

let loading: Promise<HostCodecs> | undefined;

/** Loads them at the first call. With COBLOCK_HOST_CALLS=off, or where the host or the optional package does not allow it, all are absent. */
export function loadHostCodecs(): Promise<HostCodecs> {
  if (process.env["COBLOCK_HOST_CALLS"] === "off") return Promise.resolve({});
  loading ??= findCodecs();
  return loading;
}

async function findCodecs(): Promise<HostCodecs> {
  const zstdName = ZSTD_NAMES[process.platform];
  if (zstdName === undefined || !ARCHITECTURES.includes(process.arch)) return {};
  // Node brings zlib along; a second one, loaded beside it, would not get along with it.
  const deflate = findDeflate(await CodecLibrary.load(null));
  const zstd = findZstd(await CodecLibrary.load(zstdName));
  return { ...(deflate === undefined ? {} : { deflate }), ...(zstd === undefined ? {} : { zstd }) };
}
