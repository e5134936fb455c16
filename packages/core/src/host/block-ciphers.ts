/** AES on whole blocks, in place, by the OpenSSL that is in Node and called through koffi (EVP_EncryptInit(3)). */

import { createCipheriv, createDecipheriv } from "node:crypto";

import { assert } from "../errors.ts";
import { type CodecFunction, CodecLibrary } from "./codec-library.ts";

/** Enciphers or deciphers blocks of 16 bytes, each alone, where they are. */
type BlocksInPlace = (blocks: Uint8Array) => void;

type Direction = "encrypt" | "decrypt";

/** Absent where the host does not have it. */
export interface BlockCiphers {
  /** `key`: 16, 24 or 32 bytes. Node's own cipher objects answer copies, which takes them nearly twice as long. */
  readonly aes?: (direction: Direction, key: Uint8Array) => BlocksInPlace;
}

let loading: Promise<BlockCiphers> | undefined;

/** Loads them at the first call. With COBLOCK_HOST_CALLS=off, or where the host or the optional package does not allow it, all are absent. */
export function loadBlockCiphers(): Promise<BlockCiphers> {
  if (process.env["COBLOCK_HOST_CALLS"] === "off") return Promise.resolve({});
  loading ??= findCiphers();
  return loading;
}

async function findCiphers(): Promise<BlockCiphers> {
  // Node brings OpenSSL along; that of the system may be another version.
  const library = await CodecLibrary.load(null);
  const functions = library?.find([
    ["EVP_CIPHER_CTX_new", "uintptr_t", []],
    ["EVP_CIPHER_CTX_free", "void", ["uintptr_t"]],
    ["EVP_CIPHER_CTX_set_padding", "int", ["uintptr_t", "int"]],
    ["EVP_aes_128_ecb", "uintptr_t", []],
    ["EVP_aes_192_ecb", "uintptr_t", []],
    ["EVP_aes_256_ecb", "uintptr_t", []],
    ["EVP_CipherInit_ex", "int", ["uintptr_t", "uintptr_t", "uintptr_t", "uintptr_t", "uintptr_t", "int"]],
    ["EVP_CipherUpdate", "int", ["uintptr_t", "uintptr_t", "uintptr_t", "uintptr_t", "int"]],
  ]);
  if (library === undefined || functions === undefined) return {};
  const [create, free, setPadding, aes128, aes192, aes256, init, update] = functions;
  const ciphers: ReadonlyMap<number, CodecFunction> = new Map([
    [16, aes128],
    [24, aes192],
    [32, aes256],
  ]);
  const aes = new AesMaker({ library, create, free, setPadding, ciphers, init, update });
  return aes.works ? { aes: (direction, key) => aes.make(direction, key) } : {};
}

interface Functions {
  readonly library: CodecLibrary;
  readonly create: CodecFunction;
  readonly free: CodecFunction;
  readonly setPadding: CodecFunction;
  /** By bytes of the key. */
  readonly ciphers: ReadonlyMap<number, CodecFunction>;
  readonly init: CodecFunction;
  readonly update: CodecFunction;
}

/** OpenSSL answers 1 where it did what it was asked for. */
const DONE = 1;

class AesMaker {
  readonly #functions: Functions;
  readonly #unused: FinalizationRegistry<number | bigint>;
  /** Where OpenSSL says how many bytes it wrote: all of them, where they are blocks. */
  readonly #written: Int32Array = new Int32Array(1);
  readonly #writtenAddress: bigint;

  constructor(functions: Functions) {
    this.#functions = functions;
    this.#unused = new FinalizationRegistry((context) => functions.free(context));
    this.#writtenAddress = functions.library.addressOf(this.#written);
  }

  /** Whether it agrees with Node's own ciphers: an OpenSSL with other manners is not used. */
  get works(): boolean {
    const key = Uint8Array.from({ length: 32 }, (_, index) => index);
    const plain = Uint8Array.from({ length: 64 }, (_, index) => index * 3);
    return [16, 24, 32].every((length) => {
      const part = key.subarray(0, length);
      const name = `aes-${length * 8}-ecb`;
      const enciphered = createCipheriv(name, part, null).setAutoPadding(false).update(plain);
      const deciphered = createDecipheriv(name, part, null).setAutoPadding(false).update(plain);
      return this.#agrees("encrypt", part, plain, enciphered) && this.#agrees("decrypt", part, plain, deciphered);
    });
  }

  make(direction: Direction, key: Uint8Array): BlocksInPlace {
    const { library, update } = this.#functions;
    const context = this.#contextFor(direction, key);
    assert(context !== undefined, "an AES cipher that could be made can be made again");
    const written = this.#written;
    const writtenAddress = this.#writtenAddress;
    const inPlace: BlocksInPlace = (blocks) => {
      const address = library.addressOf(blocks);
      const result = update(context, address, writtenAddress, address, blocks.length) as number;
      assert(result === DONE && written[0] === blocks.length, "whole blocks are enciphered at once");
    };
    this.#unused.register(inPlace, context);
    return inPlace;
  }

  #agrees(direction: Direction, key: Uint8Array, from: Uint8Array, expected: Uint8Array): boolean {
    const context = this.#contextFor(direction, key);
    if (context === undefined) return false;
    const { library, free, update } = this.#functions;
    const bytes = Uint8Array.from(from);
    const address = library.addressOf(bytes);
    const result = update(context, address, this.#writtenAddress, address, bytes.length) as number;
    free(context);
    return result === DONE && this.#written[0] === bytes.length && Buffer.compare(bytes, expected) === 0;
  }

  /** `undefined`: OpenSSL refuses. */
  #contextFor(direction: Direction, key: Uint8Array): number | bigint | undefined {
    const { library, create, free, setPadding, ciphers, init } = this.#functions;
    const cipher = ciphers.get(key.length)?.() as number | bigint | undefined;
    assert(cipher !== undefined, `${key.length} bytes are no key for AES`);
    const context = create() as number | bigint;
    // The key is copied within the call: a view of it has to be alive until then alone.
    const result = init(context, cipher, 0, library.addressOf(key), 0, direction === "encrypt" ? 1 : 0) as number;
    if (result === DONE && setPadding(context, 0) === DONE) return context;
    free(context);
    return undefined;
  }
}
