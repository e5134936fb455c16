/** Zstandard frames by the `node:zlib` of Node 22.15 and later, where zstd cannot be called as the library that it is. */

import type { Transform } from "node:stream";
import type { HostCodec } from "@coblock/core";

/** What earlier versions, whose types these are, do not have. */
interface ZstdOfNode {
  zstdCompress(from: Uint8Array, done: (error: Error | null, bytes: Uint8Array) => void): void;
  createZstdDecompress(options: { readonly chunkSize: number }): Transform;
}

/** The least that a stream of Node's takes for a chunk. */
const SHORTEST_CHUNK = 64;

/** `undefined` where Node has none. */
export function findNodeZstd(): HostCodec | undefined {
  const zlib: object = process.getBuiltinModule("node:zlib");
  const { zstdCompress, createZstdDecompress } = zlib as Partial<ZstdOfNode>;
  if (zstdCompress === undefined || createZstdDecompress === undefined) return undefined;
  return {
    compress: (from, into) =>
      new Promise((resolve, reject) => {
        zstdCompress(from, (error, bytes) => {
          if (error !== null) return reject(error);
          if (bytes.length <= into.length) into.set(bytes);
          resolve(bytes.length <= into.length ? bytes.length : undefined);
        });
      }),
    decompress: (from, into) => fill(into, createZstdDecompress({ chunkSize: Math.max(into.length, SHORTEST_CHUNK) }), from),
  };
}

/** What the decoder makes of `from`, until `into` is full, it ends, or meets damage. */
function fill(into: Uint8Array, decoder: Transform, from: Uint8Array): Promise<number> {
  let length = 0;
  return new Promise((resolve) => {
    const end = (): void => {
      decoder.destroy();
      resolve(length);
    };
    decoder.on("data", (bytes: Uint8Array) => {
      const taken = bytes.subarray(0, into.length - length);
      into.set(taken, length);
      length += taken.length;
      if (length === into.length) end();
    });
    decoder.once("error", end);
    decoder.once("end", end);
    decoder.end(from);
  });
}
