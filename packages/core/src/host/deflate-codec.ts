/** Raw deflate by the zlib that is in Node, with streams that are kept (zlib.h). */

import { assert } from "../errors.ts";
import type { CodecFunction, CodecLibrary } from "./codec-library.ts";
import { NO_ROOM, type UnitCall, type UnitCodecs, type UnitPlaces } from "./unit-codec.ts";

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

/** struct z_stream: next_in, avail_in, total_in, next_out, avail_out, total_out, and what is zlib's own. */
const STREAM_LENGTH = 112;
const NEXT_IN = 0;
const AVAILABLE_IN = 8;
const NEXT_OUT = 24;
const AVAILABLE_OUT = 32;

/** Nothing where the functions are not there, or belong to another version of the structure. */
export function findDeflate(library: CodecLibrary): UnitCodecs {
  const functions = library.find([
    ["zlibVersion", "uintptr_t", []],
    ["deflateInit2_", "int", ["uintptr_t", "int", "int", "int", "int", "int", "uintptr_t", "int"]],
    ["deflateReset", "int", ["uintptr_t"]],
    ["deflate", "int", ["uintptr_t", "int"]],
    ["inflateInit2_", "int", ["uintptr_t", "int", "uintptr_t", "int"]],
    ["inflateReset", "int", ["uintptr_t"]],
    ["inflate", "int", ["uintptr_t", "int"]],
  ]);
  if (functions === undefined) return {};
  const [zlibVersion, deflateInit, deflateReset, deflate, inflateInit, inflateReset, inflate] = functions;
  const version = zlibVersion() as number;
  const deflateStart = (stream: bigint): number =>
    deflateInit(stream, DEFAULT_LEVEL, Z_DEFLATED, WRITE_WINDOW_BITS, MEMORY_LEVEL, DEFAULT_STRATEGY, version, STREAM_LENGTH) as number;
  const inflateStart = (stream: bigint): number => inflateInit(stream, READ_WINDOW_BITS, version, STREAM_LENGTH) as number;
  const writers = new StreamPool(library, { start: deflateStart, reset: deflateReset, work: deflate });
  const readers = new StreamPool(library, { start: inflateStart, reset: inflateReset, work: inflate });
  if (!writers.works || !readers.works) return {};
  return {
    deflate: (places) => writers.begin(places, (result, length) => (result === Z_STREAM_END ? length : NO_ROOM)),
    inflate: (places) => readers.begin(places, (_result, length) => length),
  };
}

interface StreamFunctions {
  readonly start: (stream: bigint) => number;
  readonly reset: CodecFunction;
  readonly work: CodecFunction;
}

interface Stream {
  readonly fields: DataView;
  readonly address: bigint;
}

/** As many streams as there were units at one time. */
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

  /** The whole unit in one call. `answer` is given its result, and the bytes written. */
  begin({ from, fromLength, into, intoLength }: UnitPlaces, answer: (result: number, length: number) => number): UnitCall {
    const stream = this.#idle.pop() ?? this.#make();
    if (stream === undefined) throw new Error("zlib has no memory for another stream");
    const { fields, address } = stream;
    const reset = this.#functions.reset(address) as number;
    assert(reset === Z_OK, "a stream that was made can be reset");
    fields.setBigUint64(NEXT_IN, from, true);
    fields.setUint32(AVAILABLE_IN, fromLength, true);
    fields.setBigUint64(NEXT_OUT, into, true);
    fields.setUint32(AVAILABLE_OUT, intoLength, true);
    return {
      call: this.#functions.work,
      parameters: [address, Z_FINISH],
      finish: (result) => answer(result, intoLength - fields.getUint32(AVAILABLE_OUT, true)),
      [Symbol.dispose]: () => void this.#idle.push(stream),
    };
  }

  #make(): Stream | undefined {
    const fields = new DataView(new ArrayBuffer(STREAM_LENGTH));
    const address = this.#library.addressOf(fields);
    return this.#functions.start(address) === Z_OK ? { fields, address } : undefined;
  }
}
