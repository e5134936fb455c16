/** The protocol under a fuzzed image: counts what is done, and holds it against limits. */

import type { BlockDriver, BlockImage, DriverEntry } from "@coblock/core";
import type { SparseBytes } from "./sparse-bytes.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    fuzz: { readonly filename: string };
  }
}

/** Operations of one case: whoever needs more goes round in circles. */
const MOST_OPERATIONS = 100_000;
/** Bytes of one request, and so of one buffer. */
const LONGEST_REQUEST = 64 * 1024 * 1024;

/** A limit was passed. It is kept apart from the failure of the request, which the code under test may take for a bad disk. */
export class FuzzStorage {
  readonly #files: ReadonlyMap<string, SparseBytes>;
  #operations = 0;
  #writes = 0;
  #broken: string | undefined;

  constructor(files: Readonly<Record<string, SparseBytes>>) {
    this.#files = new Map(Object.entries(files));
  }

  /** The driver `fuzz`; a file is named as in the constructor. */
  get entry(): DriverEntry {
    const open = ({ filename }: { readonly filename: string }): Promise<BlockImage> => Promise.resolve(this.#image(filename));
    const driver: BlockDriver<"fuzz"> = Object.freeze({ name: "fuzz", kind: "protocol", optionNames: ["filename"], open });
    return { name: "fuzz", kind: "protocol", load: () => Promise.resolve(driver) };
  }

  /** Writes so far, of any kind. */
  get writes(): number {
    return this.#writes;
  }

  /** Which limit was passed. */
  get broken(): string | undefined {
    return this.#broken;
  }

  #image(filename: string): BlockImage {
    const bytes = this.#files.get(filename);
    if (bytes === undefined) throw new Error(`the fuzz has no file ${filename}`);
    return {
      limits: { requestAlignment: 1 },
      growable: true,
      identity: filename,
      get size() {
        return bytes.size;
      },
      read: (offset, into) => {
        this.#count(into.length);
        bytes.read(offset, into);
      },
      write: (offset, from) => {
        this.#count(from.length);
        this.#writes++;
        bytes.write(offset, from);
      },
      flush: () => this.#count(0),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  #count(length: number): void {
    this.#operations++;
    if (this.#operations > MOST_OPERATIONS) this.#break(`more than ${MOST_OPERATIONS} operations`);
    if (length > LONGEST_REQUEST) this.#break(`a request of ${length} bytes`);
  }

  #break(limit: string): never {
    this.#broken ??= limit;
    throw new Error(limit);
  }
}
