/** An open file of the host: whole transfers or an error, and one close after the last of them. */

import * as fs from "node:fs";
import { promisify } from "node:util";

import { assert, BlockError } from "../../errors.ts";
import { zeros, MAX_ZEROS } from "../../binary/zeros.ts";
import { deviceSize, isNullDevice } from "./device-size.ts";
import { failureName, fileError, rangeWords } from "./file-error.ts";

/** Node hands at most 2 GiB - 1 to the kernel, and the kernel takes a page less; a round number below both. */
const LONGEST_TRANSFER = 1024 * 1024 * 1024;
/**
 * Linux takes memory for the page cache in blocks as long as the write is, and long blocks may be dear: 200 MiB of new data took the kernel
 * 0.06 to 0.08 s in calls of 64 KiB, 0.1 to 0.5 s in calls of 128 KiB and more (Linux 6.18, ext4, a virtual machine).
 */
const LONGEST_CACHED_WRITE = 64 * 1024;
/** What a new file may be used for, before the umask: as every tool that makes images does. */
const NEW_FILE_MODE = 0o644;

const openFile = promisify(fs.open);
const statFile = promisify(fs.stat);

export interface HostFileOptions {
  readonly filename: string;
  /** For messages. */
  readonly nodeName: string;
  /** `create`: to read and write, and made if it is missing. */
  readonly mode: "read" | "write" | "create";
}

/** Methods named `…Now` are synchronous; the others work in Node's thread pool. */
export class HostFile {
  readonly fd: number;
  readonly name: string;
  readonly nodeName: string;
  /** A block device, or /dev/null: its size is fixed, and what a file system would keep in blocks it does not have. */
  readonly isDevice: boolean;
  /** Bytes when it was opened. */
  readonly initialSize: number;
  /** Device and inode of a file, the number of a device: equal for two names of the same bytes. */
  readonly identity: string;
  #transfers = 0;
  #closed = false;

  private constructor(fd: number, options: HostFileOptions, stats: fs.BigIntStats, size: number) {
    this.fd = fd;
    this.name = options.filename;
    this.nodeName = options.nodeName;
    this.isDevice = !stats.isFile();
    this.initialSize = size;
    this.identity = this.isDevice ? `device:${stats.rdev}` : `${stats.dev}:${stats.ino}`;
  }

  /** Throws NOT_FOUND, NOT_ALLOWED, READ_ONLY, or INVALID_OPTION for what is neither a regular file nor a block device. */
  static async open(options: HostFileOptions): Promise<HostFile> {
    const { filename, mode } = options;
    await refuseSpecialFile(options);
    const flags = { read: fs.constants.O_RDONLY, write: fs.constants.O_RDWR, create: fs.constants.O_RDWR + fs.constants.O_CREAT }[mode];
    const fd = await openFile(filename, flags, NEW_FILE_MODE).catch((error: unknown) => {
      throw openError(options, error);
    });
    try {
      const stats = fs.fstatSync(fd, { bigint: true });
      checkKind(options, stats);
      const size = stats.isBlockDevice() ? await deviceSize(stats.rdev) : Number(stats.size);
      return new HostFile(fd, options, stats, size);
    } catch (error) {
      fs.closeSync(fd);
      throw error instanceof BlockError ? error : openError(options, error);
    }
  }

  /** Fills `into` from byte `done` on. A file that ends before is an error: somebody cut it. */
  read(offset: number, into: Uint8Array, done: number): Promise<void> {
    return this.#transfer((settle) => {
      const step = (): void => {
        fs.read(this.fd, into, done, Math.min(into.length - done, LONGEST_TRANSFER), offset + done, (error, count) => {
          if (error !== null) return settle(this.#failed("read", offset, into.length, error));
          if (count === 0) return settle(this.#endedEarly(offset, into.length, done));
          done += count;
          if (done < into.length) step();
          else settle();
        });
      };
      step();
    });
  }

  write(offset: number, from: Uint8Array): Promise<void> {
    return this.#transfer((settle) => {
      let done = 0;
      const step = (): void => {
        fs.write(this.fd, from, done, Math.min(from.length - done, LONGEST_TRANSFER), offset + done, (error, count) => {
          if (error !== null) return settle(this.#failed("write", offset, from.length, error));
          done += count;
          if (done < from.length) step();
          else settle();
        });
      };
      step();
    });
  }

  writeNow(offset: number, from: Uint8Array): void {
    try {
      for (let done = 0; done < from.length;)
        done += fs.writeSync(this.fd, from, done, Math.min(from.length - done, LONGEST_CACHED_WRITE), offset + done);
    } catch (error) {
      throw this.#failed("write", offset, from.length, error);
    }
  }

  async writeZeroBytes(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    for (let done = 0; done < length; done += MAX_ZEROS) {
      signal?.throwIfAborted();
      await this.write(offset + done, zeros(Math.min(MAX_ZEROS, length - done)));
    }
  }

  /** What was written is on stable storage. */
  async sync(): Promise<void> {
    // /dev/null refuses.
    if (this.isDevice && this.initialSize === 0) return;
    await this.#transfer((settle) => {
      fs.fdatasync(this.fd, (error) => settle(error === null ? undefined : this.#notFlushed(error)));
    });
  }

  truncate(size: number): Promise<void> {
    return this.#transfer((settle) => {
      fs.ftruncate(this.fd, size, (error) => settle(error === null ? undefined : this.#notResized(size, error)));
    });
  }

  truncateNow(size: number): void {
    try {
      fs.ftruncateSync(this.fd, size);
    } catch (error) {
      throw this.#notResized(size, error);
    }
  }

  /** Bytes, now, whoever changed it. */
  sizeNow(): number {
    return this.isDevice ? this.initialSize : fs.fstatSync(this.fd).size;
  }

  /** Bytes that it takes on the host. */
  allocatedNow(): number {
    return fs.fstatSync(this.fd).blocks * 512;
  }

  async close(): Promise<void> {
    assert(!this.#closed, `'${this.name}' is closed twice`);
    assert(this.#transfers === 0, `'${this.name}' is closed with ${this.#transfers} requests in flight`);
    this.#closed = true;
    await promisify(fs.close)(this.fd).catch((error: unknown) => {
      throw fileError(`Could not close '${this.name}'`, error, { node: this.nodeName });
    });
  }

  /** Counts what is in flight, also what others do with the descriptor. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#transfers++;
    try {
      return await work;
    } finally {
      this.#transfers--;
    }
  }

  #transfer(begin: (settle: (error?: Error) => void) => void): Promise<void> {
    assert(!this.#closed, `'${this.name}' is used after it was closed`);
    this.#transfers++;
    return new Promise((resolve, reject) => {
      begin((error) => {
        this.#transfers--;
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  #failed(verb: "read" | "write", offset: number, length: number, failure: unknown): BlockError {
    return fileError(`Could not ${verb} ${rangeWords(offset, length)} of '${this.name}'`, failure, { node: this.nodeName, offset });
  }

  #endedEarly(offset: number, length: number, done: number): BlockError {
    const message = `Could not read ${rangeWords(offset, length)} of '${this.name}': got ${done} bytes, the file ends there`;
    return new BlockError("IO", message, { node: this.nodeName, offset });
  }

  #notFlushed(failure: unknown): BlockError {
    return fileError(`Could not flush '${this.name}'`, failure, { node: this.nodeName });
  }

  #notResized(size: number, failure: unknown): BlockError {
    return fileError(`Could not resize '${this.name}' to ${size} bytes`, failure, { node: this.nodeName });
  }
}

/** Before it is opened, for that alone can wait forever (a pipe without a writer) or do something (a tape drive). */
async function refuseSpecialFile(options: HostFileOptions): Promise<void> {
  const stats = await statFile(options.filename).catch((error: unknown) => {
    if (options.mode === "create" && failureName(error) === "ENOENT") return undefined;
    throw openError(options, error);
  });
  if (stats !== undefined) checkKind(options, stats);
}

function checkKind(options: HostFileOptions, stats: fs.Stats | fs.BigIntStats): void {
  if (stats.isFile() || stats.isBlockDevice() || isNullDevice(stats)) return;
  const { nodeName: node } = options;
  throw new BlockError(
    "INVALID_OPTION",
    `${notOpened(options)}: it is ${stats.isDirectory() ? "a directory" : "neither a regular file nor a block device"}`,
    { node },
  );
}

/** `Could not open 'name': No such file or directory`, in qemu-img's words. */
function openError(options: HostFileOptions, failure: unknown): BlockError {
  return fileError(notOpened(options), failure, { node: options.nodeName });
}

function notOpened(options: HostFileOptions): string {
  return `Could not ${options.mode === "create" ? "create" : "open"} '${options.filename}'`;
}
