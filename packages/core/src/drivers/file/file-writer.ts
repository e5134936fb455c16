/** Writes: small ones into the page cache at once, others in the thread pool; growth is accounted for. */

import type { MaybePromise } from "../../driver.ts";
import type { FileLength } from "./file-length.ts";
import type { HostFile } from "./host-file.ts";
import type { Promptness } from "./promptness.ts";

/**
 * Longer writes go to the pool. Up to here the main thread is the faster way by far (4 KiB: 3.6 µs against 7 µs with 8 in flight): it writes in
 * short calls, of which each would be a way to the pool and back, and 1 MiB of new data takes 0.3 ms, for which other work can wait.
 */
const LONGEST_WRITE_NOW = 1024 * 1024;

export class FileWriter {
  readonly #file: HostFile;
  readonly #length: FileLength;
  readonly #promptness: Promptness;

  constructor(file: HostFile, length: FileLength, promptness: Promptness) {
    this.#file = file;
    this.#length = length;
    this.#promptness = promptness;
  }

  /** All of `from`, or an error; then the file may hold a part of it, and is as long as it then is. */
  write(offset: number, from: Uint8Array): MaybePromise<void> {
    if (from.length === 0) return undefined;
    const end = offset + from.length;
    this.#length.begin(end);
    if (from.length > LONGEST_WRITE_NOW || !this.#promptness.allows()) return this.#later(end, () => this.#file.write(offset, from));
    try {
      this.#promptness.run(() => this.#file.writeNow(offset, from));
    } catch (error) {
      this.#failedAt(end);
      throw error;
    }
    this.#length.reached(end);
    return undefined;
  }

  writeZeroBytes(offset: number, length: number): Promise<void> {
    const end = offset + length;
    this.#length.begin(end);
    return this.#later(end, () => this.#file.writeZeroBytes(offset, length));
  }

  async #later(end: number, transfer: () => Promise<void>): Promise<void> {
    try {
      await transfer();
    } catch (error) {
      this.#failedAt(end);
      throw error;
    }
    this.#length.reached(end);
  }

  /** Part of it may have been stored behind the old end: hiding that would show it as fresh space later. */
  #failedAt(end: number): void {
    if (end > this.#length.size) this.#length.reached(this.#file.sizeNow());
  }
}
