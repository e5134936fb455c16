/** Compressed clusters: zlib's raw deflate, and zstd. qcow2 spec, "Compressed Clusters". */

import { BlockError, hex, type HostCodec, loadHostCodecs, type OpenContext } from "@coblock/core";
import { nodeDeflate } from "./node-deflate.ts";
import { findNodeZstd } from "./node-zstd.ts";
import { looksRandom } from "./random-bytes.ts";

const ZLIB = 0;

/** Who speaks in messages, and where the work is done. */
export type CodecContext = Pick<OpenContext, "nodeName" | "fileName" | "offload">;

/** Compresses and decompresses the clusters of one image, any number at a time. */
export class ClusterCodec {
  readonly #context: CodecContext;
  readonly #compressionType: number;
  /** Buffers to compress into: as many as there were units at one time. */
  readonly #idle: Uint8Array[] = [];

  constructor(context: CodecContext, compressionType: number) {
    this.#context = context;
    this.#compressionType = compressionType;
  }

  /**
   * Fills `unit` from stored bytes that may go on after the stream (padding, or the next cluster's), and whose stream may have more
   * to tell than fits. Throws CORRUPT_IMAGE where it has less. `offset` is where the bytes are in the file.
   */
  async decode(stored: Uint8Array, unit: Uint8Array, offset: number): Promise<void> {
    const codec = await this.#codec();
    const length = await this.#context.offload.run("inflate", () => codec.decompress(stored, unit));
    if (length === unit.length) return;
    const message = `the compressed cluster at offset ${hex(offset)} cannot be read: it decompresses to ${length} bytes instead of ${unit.length}`;
    throw new BlockError("CORRUPT_IMAGE", `${this.#context.fileName}: ${message}`, { node: this.#context.nodeName, offset });
  }

  /** `undefined` where compressing does not save a byte. */
  async encode(unit: Uint8Array): Promise<Uint8Array | undefined> {
    if (this.#compressionType === ZLIB && looksRandom(unit)) return undefined;
    const codec = await this.#codec();
    const into = this.#idle.pop() ?? new Uint8Array(unit.length - 1);
    const length = await this.#context.offload.run("deflate", () => codec.compress(unit, into));
    const bytes = length === undefined ? undefined : into.slice(0, length);
    this.#idle.push(into);
    return bytes;
  }

  async #codec(): Promise<HostCodec> {
    const { deflate = nodeDeflate, zstd = findNodeZstd() } = await loadHostCodecs(this.#context.offload);
    if (this.#compressionType === ZLIB) return deflate;
    if (zstd === undefined) throw noZstd(this.#context.fileName, this.#context.nodeName);
    return zstd;
  }
}

/** Throws UNSUPPORTED_FEATURE where clusters of that type could be neither written nor read. */
export async function checkCompressionType(compressionType: number, fileName: string): Promise<void> {
  if (compressionType === ZLIB) return;
  const { zstd = findNodeZstd() } = await loadHostCodecs();
  if (zstd === undefined) throw noZstd(fileName);
}

function noZstd(fileName: string, node?: string): BlockError {
  const message = `${fileName}: clusters compressed with zstd need the system's library libzstd, which cannot be loaded here (it takes the package koffi), or Node 22.15`;
  return new BlockError("UNSUPPORTED_FEATURE", message, { node });
}
