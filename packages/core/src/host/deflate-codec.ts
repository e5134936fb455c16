/** Raw deflate by the zlib that is in Node, with streams that are kept (zlib.h). */

import { availableParallelism } from "node:os";

import { assert } from "../errors.ts";
import type { HostCodec } from "./codec-calls.ts";
import type { CodecFunction, CodecLibrary } from "./codec-library.ts";

const Z_FINISH = 4;
const Z_OK = 0;
const Z_STREAM_END = 1;
const Z_DEFLATED = 8;
const DEFAULT_LEVEL = -1;
/** Negative: no header around the stream. */
const WRITE_WINDOW_BITS = -12;
const READ_WINDOW_BITS = -15;
const MEMORY_LEVEL = 9;
const DEFAULT_STRATEGY = 0;
/** With few processors the main thread inflates too while the pool is busy: it would wait, and the way to the pool costs a fifth of the work. */
const MAIN_THREAD_HELPS = availableParallelism() < 4;
/** Bytes; 0.13 ms. */
const LONGEST_QUICK_UNIT = 64 * 1024;

/** struct z_stream: next_in, avail_in, total_in, next_out, avail_out, total_out, and what is zlib's own. */
const STREAM_LENGTH = 112;
const NEXT_IN = 0;
const AVAILABLE_IN = 8;
const NEXT_OUT = 24;
const AVAILABLE_OUT = 32;

/** `undefined` where the functions are not there, or belong to another version of the structure. */
export function findDeflate(library: CodecLibrary | undefined): HostCodec | undefined {
  const functions = library?.find([
    ["zlibVersion", "uintptr_t", []],
    ["deflateInit2_", "int", ["uintptr_t", "int", "int", "int", "int", "int", "uintptr_t", "int"]],
    ["deflateReset", "int", ["uintptr_t"]],
    ["deflate", "int", ["uintptr_t", "int"]],
    ["inflateInit2_", "int", ["uintptr_t", "int", "uintptr_t", "int"]],
    ["inflateReset", "int", ["uintptr_t"]],
    ["inflate", "int", ["uintptr_t", "int"]],
  ]);
  if (library === undefined || functions === undefined) return undefined;
  const [zlibVersion, deflateInit, deflateReset, deflate, inflateInit, inflateReset, inflate] = functions;
  const version = zlibVersion() as number;
  const deflateStart = (stream: bigint): number =>
    deflateInit(stream, DEFAULT_LEVEL, Z_DEFLATED, WRITE_WINDOW_BITS, MEMORY_LEVEL, DEFAULT_STRATEGY, version, STREAM_LENGTH) as number;
  const inflateStart = (stream: bigint): number => inflateInit(stream, READ_WINDOW_BITS, version, STREAM_LENGTH) as number;
  const writers = new StreamPool(library, { start: deflateStart, reset: deflateReset, work: deflate, quick: false });
  const readers = new StreamPool(library, { start: inflateStart, reset: inflateReset, work: inflate, quick: true });
  if (!writers.works || !readers.works) return undefined;
  return {
    async compress(from, into) {
      const { result, length } = await writers.run(from, into);
      return result === Z_STREAM_END ? length : undefined;
    },
    decompress: async (from, into) => (await readers.run(from, into)).length,
  };
}

interface StreamFunctions {
  readonly start: (stream: bigint) => number;
  readonly reset: CodecFunction;
  readonly work: CodecFunction;
  /** Short units may be worked on by the main thread. */
  readonly quick: boolean;
}

interface Stream {
  readonly fields: DataView;
  readonly address: bigint;
}

/** As many streams as there were calls at one time. */
class StreamPool {
  readonly #library: CodecLibrary;
  readonly #functions: StreamFunctions;
  readonly #idle: Stream[] = [];

  constructor(library: CodecLibrary, functions: StreamFunctions) {
    this.#library = library;
    this.#functions = functions;
  }

  /** A first stream could be made. */
  get works(): boolean {
    const stream = this.#make();
    if (stream !== undefined) this.#idle.push(stream);
    return stream !== undefined;
  }

  /** The whole of `from` in one call; `length`: bytes written. */
  async run(from: Uint8Array, into: Uint8Array): Promise<{ readonly result: number; readonly length: number }> {
    const stream = this.#idle.pop() ?? this.#make();
    if (stream === undefined) throw new Error("zlib has no memory for another stream");
    const { fields, address } = stream;
    try {
      const reset = this.#functions.reset(address) as number;
      assert(reset === Z_OK, "a stream that was made can be reset");
      fields.setBigUint64(NEXT_IN, this.#library.addressOf(from), true);
      fields.setUint32(AVAILABLE_IN, from.length, true);
      fields.setBigUint64(NEXT_OUT, this.#library.addressOf(into), true);
      fields.setUint32(AVAILABLE_OUT, into.length, true);
      const here = this.#functions.quick && MAIN_THREAD_HELPS && into.length <= LONGEST_QUICK_UNIT && this.#library.poolIsFull;
      const result = here
        ? (this.#functions.work(address, Z_FINISH) as number)
        : await this.#library.inPool([from, into, fields], this.#functions.work, address, Z_FINISH);
      return { result, length: into.length - fields.getUint32(AVAILABLE_OUT, true) };
    } finally {
      this.#idle.push(stream);
    }
  }

  #make(): Stream | undefined {
    const fields = new DataView(new ArrayBuffer(STREAM_LENGTH));
    const address = this.#library.addressOf(fields);
    return this.#functions.start(address) === Z_OK ? { fields, address } : undefined;
  }
}
