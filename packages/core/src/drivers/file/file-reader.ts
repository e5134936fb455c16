/** Reads: from the page cache at once where the bytes are there, else in the thread pool. */

import { readSync, statfsSync } from "node:fs";
import { constants } from "node:os";

import type { MaybePromise } from "../../driver.ts";
import type { HostCalls } from "../../host/host-calls.ts";
import type { HostFile } from "./host-file.ts";

/**
 * Longer reads go straight to the pool. Cached bytes are copied as fast by the main thread, and waking a pool thread costs up to 100 µs on
 * a virtual machine; 1 MiB takes 60 µs, for which other work can wait.
 */
const LONGEST_READ_NOW = 1024 * 1024;
/** After many refusals in a row, this many reads go to the pool before the next attempt. */
const MOST_SKIPPED = 64;

const { EAGAIN, EIO, EOPNOTSUPP, ENOSYS, EINVAL } = constants.errno;
/** statfs(2): file systems whose files are in memory. They do not know reads that do not wait, and have nothing to wait for. */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x01021994, 0x858458f6];

export class FileReader {
  readonly #file: HostFile;
  #readNow: HostCalls["readNow"];
  /** Refusals since the last read that was served at once. */
  #refusals = 0;
  #toSkip = 0;

  constructor(file: HostFile, calls: HostCalls) {
    this.#file = file;
    this.#readNow = calls.readNow;
  }

  /** Whether reads are tried on the main thread at all. */
  get triesNow(): boolean {
    return this.#readNow !== undefined;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    if (this.#readNow === undefined || into.length > LONGEST_READ_NOW || into.length === 0) return this.#later(offset, into, 0);
    if (this.#toSkip > 0) {
      this.#toSkip--;
      return this.#later(offset, into, 0);
    }
    const count = this.#readNow(this.#file.fd, offset, into);
    if (count === into.length) {
      this.#refusals = 0;
      return undefined;
    }
    this.#refused(count);
    return this.#later(offset, into, Math.max(count, 0));
  }

  #later(offset: number, into: Uint8Array, done: number): MaybePromise<void> {
    return into.length === 0 ? undefined : this.#file.read(offset, into, done);
  }

  /**
   * A refusal costs as much as a trip to the pool, a needless trip 25 times a read at once: so the first refusal changes nothing, and
   * only a row of them (a cold file) makes attempts rarer: 0, 1, 3, 7 … reads are skipped.
   */
  #refused(count: number): void {
    if (count >= 0 || count === -EAGAIN) {
      this.#toSkip = Math.min(2 ** this.#refusals - 1, MOST_SKIPPED);
      this.#refusals = Math.min(this.#refusals + 1, 16);
    } else if (count === -EOPNOTSUPP || count === -ENOSYS || count === -EINVAL) {
      this.#readNow = isInMemory(this.#file.name) ? readSynchronously : undefined;
    }
  }
}

function isInMemory(fileName: string): boolean {
  try {
    return MEMORY_FILE_SYSTEMS.includes(statfsSync(fileName).type);
  } catch {
    // The name may be gone by now; then the pool reads, as it does for every other file system.
    return false;
  }
}

/** What went wrong is told by the pool, which tries again. */
function readSynchronously(fd: number, offset: number, into: Uint8Array): number {
  try {
    return readSync(fd, into, 0, into.length, offset);
  } catch {
    return -EIO;
  }
}
