/** Compressed clusters: zlib's raw deflate. qcow2 spec, "Compressed Clusters". */

import { constants, createInflateRaw, deflateRaw, inflateRaw } from "node:zlib";
import { BlockError, hex, type OpenContext } from "@coblock/core";

/** QEMU's window, 4 KiB: other readers may have no more. */
const WINDOW_BITS = 12;
const ZLIB = 0;

/** Who speaks in messages, and where the work is done. */
export type CodecContext = Pick<OpenContext, "nodeName" | "fileName" | "offload">;

export class ClusterCodec {
  readonly #context: CodecContext;
  readonly #compressionType: number;

  constructor(context: CodecContext, compressionType: number) {
    this.#context = context;
    this.#compressionType = compressionType;
  }

  /** Whether clusters can be written compressed. */
  get canEncode(): boolean {
    return this.#compressionType === ZLIB;
  }

  /**
   * Fills `unit` from stored bytes that may go on after the stream (padding, or the next cluster's), and whose stream may have more
   * to tell than fits. Throws CORRUPT_IMAGE where it has less. `offset` is where the bytes are in the file.
   */
  async decode(stored: Uint8Array, unit: Uint8Array, offset: number): Promise<void> {
    if (this.#compressionType !== ZLIB) {
      throw new BlockError(
        "UNSUPPORTED_FEATURE",
        `${this.#context.fileName}: the cluster at offset ${hex(offset)} is compressed with zstd, which is not supported`,
        { node: this.#context.nodeName, offset },
      );
    }
    try {
      const bytes = await this.#context.offload.run("inflate", () => inflate(stored, unit.length));
      if (bytes.length < unit.length) throw new Error(`it decompresses to ${bytes.length} bytes instead of ${unit.length}`);
      unit.set(bytes.subarray(0, unit.length));
    } catch (cause) {
      const message = `${this.#context.fileName}: the compressed cluster at offset ${hex(offset)} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
      throw new BlockError("CORRUPT_IMAGE", message, { cause, node: this.#context.nodeName, offset });
    }
  }

  /** `undefined` where compressing does not save a byte. */
  async encode(unit: Uint8Array): Promise<Uint8Array | undefined> {
    const bytes = await this.#context.offload.run("deflate", () => deflate(unit));
    return bytes.length < unit.length ? bytes : undefined;
  }
}

/** Room for zlib to see the end of the stream without a second buffer. */
const SLACK = 64;

/** In one call where the stream ends with the cluster. Where it goes on, or what follows is damaged, the cluster may still be complete. */
function inflate(stored: Uint8Array, length: number): Promise<Uint8Array> {
  const limit = length + SLACK;
  return new Promise((resolve, reject) => {
    inflateRaw(stored, { finishFlush: constants.Z_SYNC_FLUSH, chunkSize: limit, maxOutputLength: limit }, (error, bytes) => {
      if (error === null) resolve(bytes);
      else inflateStart(stored, length).then(resolve, reject);
    });
  });
}

/** The first `length` bytes of a stream that goes on: the decoder is stopped when they are there. */
function inflateStart(stored: Uint8Array, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const stream = createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH, chunkSize: Math.max(length, SLACK) });
    stream.once("data", (bytes: Uint8Array) => {
      stream.destroy();
      resolve(bytes);
    });
    stream.once("error", reject);
    stream.end(stored);
  });
}

function deflate(unit: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    deflateRaw(unit, { windowBits: WINDOW_BITS, chunkSize: Math.max(unit.length, SLACK) }, (error, bytes) =>
      error === null ? resolve(bytes) : reject(error),
    );
  });
}
