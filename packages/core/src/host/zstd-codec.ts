/** Zstandard frames by libzstd, with contexts that are kept (zstd.h, the stable part). */

import type { CodecFunction, CodecLibrary } from "./codec-library.ts";
import { NO_ROOM, type UnitCodecs } from "./unit-codec.ts";

const RESET_SESSION = 1;
// struct ZSTD_inBuffer and ZSTD_outBuffer: address, length, position.
const LENGTH = 8;
const POSITION = 16;
const BUFFER_LENGTH = 24;

/** Nothing where the functions are not there. */
export function findZstd(library: CodecLibrary | undefined): UnitCodecs {
  const functions = library?.find([
    ["ZSTD_createCCtx", "uintptr_t", []],
    ["ZSTD_compress2", "intptr_t", ["uintptr_t", "uintptr_t", "size_t", "uintptr_t", "size_t"]],
    ["ZSTD_createDCtx", "uintptr_t", []],
    ["ZSTD_DCtx_reset", "intptr_t", ["uintptr_t", "int"]],
    ["ZSTD_decompressStream", "intptr_t", ["uintptr_t", "uintptr_t", "uintptr_t"]],
  ]);
  if (library === undefined || functions === undefined) return {};
  const [createWriter, compress, createReader, resetReader, decompress] = functions;
  const writers = new Pool(() => newContext(createWriter));
  const readers = new Pool(() => new Reader(newContext(createReader), library));
  return {
    zstdCompress({ from, fromLength, into, intoLength }) {
      const { item, [Symbol.dispose]: dispose } = writers.take();
      return {
        call: compress,
        parameters: [item, into, intoLength, from, fromLength],
        // An error is a negative number; the one that a unit in memory can meet is that there is no room.
        finish: (length) => (length > 0 ? length : NO_ROOM),
        [Symbol.dispose]: dispose,
      };
    },
    zstdDecompress({ from, fromLength, into, intoLength }) {
      const { item, [Symbol.dispose]: dispose } = readers.take();
      const { context, input, output } = item;
      resetReader(context, RESET_SESSION);
      input.set(from, fromLength);
      output.set(into, intoLength);
      let done = 0;
      return {
        call: decompress,
        parameters: [context, output.address, input.address],
        finish(result) {
          const { position } = output;
          const goesOn = result >= 0 && position > done && position < intoLength;
          done = position;
          return goesOn ? undefined : position;
        },
        [Symbol.dispose]: dispose,
      };
    },
  };
}

function newContext(create: CodecFunction): bigint {
  const address = BigInt(create() as number | bigint);
  if (address === 0n) throw new Error("zstd has no memory for another context");
  return address;
}

/** A context, and what it is told of its next unit. */
class Reader {
  readonly context: bigint;
  readonly input: Span;
  readonly output: Span;

  constructor(context: bigint, library: CodecLibrary) {
    this.context = context;
    this.input = new Span(library);
    this.output = new Span(library);
  }
}

/** Bytes and how far the library has got in them. */
class Span {
  readonly address: bigint;
  readonly #fields = new DataView(new ArrayBuffer(BUFFER_LENGTH));

  constructor(library: CodecLibrary) {
    this.address = library.addressOf(this.#fields);
  }

  set(address: bigint, length: number): void {
    this.#fields.setBigUint64(0, address, true);
    this.#fields.setUint32(LENGTH, length, true);
    this.#fields.setUint32(POSITION, 0, true);
  }

  get position(): number {
    return this.#fields.getUint32(POSITION, true);
  }
}

/** As many as there were calls at one time. */
class Pool<Item> {
  readonly #make: () => Item;
  readonly #idle: Item[] = [];

  constructor(make: () => Item) {
    this.#make = make;
  }

  take(): Disposable & { readonly item: Item } {
    const item = this.#idle.pop() ?? this.#make();
    return { item, [Symbol.dispose]: () => void this.#idle.push(item) };
  }
}
