/** A library of the host that compresses: its functions, and calls of them in Node's thread pool. */

import { CallQueue } from "./call-queue.ts";

type Koffi = typeof import("koffi");
type Library = ReturnType<Koffi["load"]>;
/** A function of the library. */
export type CodecFunction = ReturnType<Library["func"]>;
type CallResult = (error: Error | null, result: number) => void;

/** More than the pool has threads, so that none waits while the event loop is busy. */
const CALLS_AT_A_TIME = 8;
const queue = new CallQueue(CALLS_AT_A_TIME);

export class CodecLibrary {
  readonly #koffi: Koffi;
  readonly #library: Library;

  private constructor(koffi: Koffi, library: Library) {
    this.#koffi = koffi;
    this.#library = library;
  }

  /** `null`: Node's own functions. `undefined` where there is no such library, or no koffi. */
  static async load(name: string | null): Promise<CodecLibrary | undefined> {
    try {
      const koffi = await import("koffi");
      return new CodecLibrary(koffi, koffi.load(name));
    } catch {
      return undefined;
    }
  }

  /** The functions in order; `undefined` where the library lacks one. Each is a name, its result and its parameters, as koffi spells types. */
  find<const Wanted extends readonly (readonly [name: string, result: string, parameters: readonly string[]])[]>(
    wanted: Wanted,
  ): { readonly [Index in keyof Wanted]: CodecFunction } | undefined {
    try {
      return wanted.map(([name, result, parameters]) => this.#library.func(name, result, [...parameters])) as {
        readonly [Index in keyof Wanted]: CodecFunction;
      };
    } catch {
      return undefined;
    }
  }

  /** Where the bytes are, for as long as something refers to them. */
  addressOf(bytes: ArrayBufferView): bigint {
    return this.#koffi.address(bytes);
  }

  /** The pool has as much to do as it is given. */
  get poolIsFull(): boolean {
    return queue.full;
  }

  /** Does `work`, which calls in the pool, when a place there is free. */
  whenThereIsRoom(work: () => Promise<number>): Promise<number> {
    return queue.run(work);
  }

  /** Calls in the thread pool. `kept`: refers to all that the library reads and writes meanwhile. */
  inPool(kept: readonly object[], call: CodecFunction, parameters: readonly (number | bigint)[]): Promise<number> {
    return new Promise((resolve, reject) => {
      const done: CallResult = (error, result) => {
        pinned.delete(kept);
        if (error === null) resolve(result);
        else reject(error);
      };
      pinned.add(kept);
      call.async(...parameters, done);
    });
  }
}

/** What must not be collected now. */
const pinned = new Set<readonly object[]>();
