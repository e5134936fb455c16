/** Raw deflate by `node:zlib`, where zlib cannot be called as the library that it is. */

import { constants, createInflateRaw, deflateRaw, inflateRaw } from "node:zlib";
import type { HostCodec } from "@coblock/core";

/** QEMU's window, 4 KiB: other readers may have no more. */
const WINDOW_BITS = 12;
/** Room for zlib to see the end of the stream without a second buffer. */
const SLACK = 64;

export const nodeDeflate: HostCodec = {
  compress: (from, into) =>
    new Promise((resolve, reject) => {
      deflateRaw(
        from,
        { windowBits: WINDOW_BITS, memLevel: constants.Z_MAX_MEMLEVEL, chunkSize: Math.max(from.length, SLACK) },
        (error, bytes) => {
          if (error !== null) return reject(error);
          if (bytes.length <= into.length) into.set(bytes);
          resolve(bytes.length <= into.length ? bytes.length : undefined);
        },
      );
    }),
  decompress: async (from, into) => {
    const bytes = (await inflateWhole(from, into.length)) ?? (await inflateStart(from, into.length));
    const length = Math.min(bytes.length, into.length);
    into.set(bytes.subarray(0, length));
    return length;
  },
};

/** In one call where the stream ends with the unit. Where it goes on, or what follows is damaged, the unit may still be complete. */
function inflateWhole(from: Uint8Array, length: number): Promise<Uint8Array | undefined> {
  const limit = length + SLACK;
  return new Promise((resolve) => {
    inflateRaw(from, { finishFlush: constants.Z_SYNC_FLUSH, chunkSize: limit, maxOutputLength: limit }, (error, bytes) =>
      resolve(error === null ? bytes : undefined),
    );
  });
}

/** The first `length` bytes of a stream that goes on: the decoder is stopped when they are there. None of one that is damaged before. */
function inflateStart(from: Uint8Array, length: number): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const stream = createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH, chunkSize: Math.max(length, SLACK) });
    stream.once("data", (bytes: Uint8Array) => {
      stream.destroy();
      resolve(bytes);
    });
    stream.once("error", () => resolve(new Uint8Array(0)));
    stream.end(from);
  });
}
