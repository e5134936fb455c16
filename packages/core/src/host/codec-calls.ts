/** Compression by libraries of the host, called through koffi: zlib and zstd. */

import { CodecLibrary } from "./codec-library.ts";
import { CodecRunner } from "./codec-runner.ts";
import { type CodecTask, loadUnitCodecs, NO_ROOM } from "./unit-codec.ts";

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

/** What `loadHostCodecs` is told. */
export interface HostCodecOptions {
  /** Rows of units may be worked on by threads that stay. Default: nothing but Node's pool. */
  readonly mayKeepThreads?: boolean | undefined;
}

const loading: Partial<Record<"pool" | "crew", Promise<HostCodecs>>> = {};

/** Loads them at the first call. With COBLOCK_HOST_CALLS=off, or where the host or the optional package does not allow it, all are absent. */
export function loadHostCodecs({ mayKeepThreads = false }: HostCodecOptions = {}): Promise<HostCodecs> {
  if (process.env["COBLOCK_HOST_CALLS"] === "off") return Promise.resolve({});
  return (loading[mayKeepThreads ? "crew" : "pool"] ??= findCodecs(mayKeepThreads));
}

async function findCodecs(mayKeepThreads: boolean): Promise<HostCodecs> {
  const library = await CodecLibrary.load(null);
  if (library === undefined) return {};
  const runner = new CodecRunner({ library, codecs: await loadUnitCodecs(library), mayKeepThreads });
  return {
    ...(runner.can("deflate") && runner.can("inflate") ? { deflate: codecOf(runner, "deflate", "inflate") } : {}),
    ...(runner.can("zstdCompress") && runner.can("zstdDecompress") ? { zstd: codecOf(runner, "zstdCompress", "zstdDecompress") } : {}),
  };
}

function codecOf(runner: CodecRunner, compress: CodecTask, decompress: CodecTask): HostCodec {
  return {
    async compress(from, into) {
      const length = await runner.run(compress, from, into);
      return length === NO_ROOM ? undefined : length;
    },
    decompress: (from, into) => runner.run(decompress, from, into),
  };
}
