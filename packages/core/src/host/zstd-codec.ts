/** Zstandard frames by the system's libzstd, with contexts that are kept (zstd.h, the stable part). */

import type { HostCodec } from "./codec-calls.ts";
import type { CodecFunction, CodecLibrary } from "./codec-library.ts";

const RESET_SESSION = 1;
/** Up to here a unit is decompressed on the spot: that takes less than the way to the thread pool and back. */
const MAX_LENGTH_ON_THE_SPOT = 64 * 1024;

// struct ZSTD_inBuffer and ZSTD_outBuffer: address, length, position.
const LENGTH = 8;
const POSITION = 16;
const BUFFER_LENGTH = 24;

/** `undefined` where the functions are not there. */
export function findZstd(library: CodecLibrary | undefined): HostCodec | undefined {
  const functions = library?.find([
    ["ZSTD_createCCtx", "uintptr_t", []],
    ["ZSTD_compress2", "intptr_t", ["uintptr_t", "uintptr_t", "size_t", "uintptr_t", "size_t"]],
    ["ZSTD_createDCtx", "uintptr_t", []],
    ["ZSTD_DCtx_reset", "intptr_t", ["uintptr_t", "int"]],
    ["ZSTD_decompressStream", "intptr_t", ["uintptr_t", "uintptr_t", "uintptr_t"]],
  ]);
  if (library === undefined || functions === undefined) return undefined;
  const [createWriter, compress, createReader, resetReader, decompress] = functions;
  const writers = new Pool(() => newContext(createWriter));
  const readers = new Pool(() => new Reader(newContext(createReader), library));
  return {
    async compress(from, into) {
      using writer = writers.take();
      // An error is a negative number; the one that a unit in memory can meet is that there is no room.
      const parameters = [writer.item, library.addressOf(into), into.length, library.addressOf(from), from.length] as const;
      const length = await library.inPool([from, into], compress, ...parameters);
      return length > 0 ? length : undefined;
    },
    async decompress(from, into) {
      using lent = readers.take();
      const { context, input, output } = lent.item;
      resetReader(context, RESET_SESSION);
      input.set(from);
      output.set(into);
      const parameters = [context, output.address, input.address] as const;
      for (let done = -1; output.position > done && output.position < into.length;) {
        done = output.position;
        const result =
          into.length <= MAX_LENGTH_ON_THE_SPOT
            ? (decompress(...parameters) as number)
            : await library.inPool([from, into], decompress, ...parameters);
        if (result < 0) break;
      }
      return output.position;
    },
  };
}

function newContext(create: CodecFunction): bigint {
  const address = BigInt(create() as number | bigint);
  if (address === 0n) throw new Error("libzstd has no memory for another context");
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
  readonly #library: CodecLibrary;
  readonly #fields = new DataView(new ArrayBuffer(BUFFER_LENGTH));

  constructor(library: CodecLibrary) {
    this.#library = library;
    this.address = library.addressOf(this.#fields);
  }

  set(bytes: Uint8Array): void {
    this.#fields.setBigUint64(0, this.#library.addressOf(bytes), true);
    this.#fields.setUint32(LENGTH, bytes.length, true);
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
