/** Where a file has data and where it has holes. */

import { constants } from "node:os";

import type { RunStatus } from "../../driver.ts";
import type { HostCalls } from "../../host/host-calls.ts";
import type { HostFile } from "./host-file.ts";

const { ENXIO } = constants.errno;

/** Holes and space that was reserved but never written read as zeros; a file system that cannot tell has data everywhere. */
export class FileExtents {
  readonly #file: HostFile;
  readonly #calls: HostCalls;
  /**
   * The data found last, [start, end). Asked for in small pieces, one long run of thousands of extents is walked once instead of
   * once a piece. Holes are never kept: another writer may fill them, and data that is a hole by now still reads right.
   */
  #start = 0;
  #end = 0;

  constructor(file: HostFile, calls: HostCalls) {
    this.#file = file;
    this.#calls = calls;
  }

  /** The run at `offset`, at most `length` bytes. */
  status(offset: number, length: number): RunStatus {
    if (offset >= this.#start && offset < this.#end) return data(Math.min(length, this.#end - offset));
    const { seekData, seekHole } = this.#calls;
    if (seekData === undefined || seekHole === undefined || this.#file.isDevice) return data(length);
    const dataStart = seekData(this.#file.fd, offset);
    if (dataStart === -ENXIO) return this.#trailing(offset, length);
    if (dataStart > offset) return { kind: "zero", length: Math.min(length, dataStart - offset) };
    if (dataStart < 0) return data(length);
    const holeStart = seekHole(this.#file.fd, offset);
    if (holeStart <= offset) return data(length);
    this.#start = offset;
    this.#end = holeStart;
    return data(Math.min(length, holeStart - offset));
  }

  /** Data may have become a hole. */
  forget(): void {
    this.#end = 0;
  }

  /** No data up to the end of the file: a hole, unless the file was cut behind our back; then whoever reads there gets the error. */
  #trailing(offset: number, length: number): RunStatus {
    return this.#file.sizeNow() >= offset + length ? { kind: "zero", length } : data(length);
  }
}

function data(length: number): RunStatus {
  return { kind: "data", length };
}
