/** Block devices of the Linux kernel, `/dev/nbdN`, whose disks a server of this process has. linux/nbd.h, and the kernel's drivers/block/nbd.c */

import { closeSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { constants } from "node:os";
import { BlockError, errnoName, errnoWords, type HostCalls, loadHostCalls } from "@coblock/core";
import type { AttachedExport, NbdServer } from "../server/nbd-server.ts";

/** Requests of linux/nbd.h, `_IO(0xab, n)`. */
const NBD_SET_SOCK = 0xab00;
const NBD_SET_BLKSIZE = 0xab01;
const NBD_DO_IT = 0xab03;
const NBD_CLEAR_SOCK = 0xab04;
const NBD_CLEAR_QUE = 0xab05;
const NBD_SET_SIZE_BLOCKS = 0xab07;
const NBD_DISCONNECT = 0xab08;
const NBD_SET_FLAGS = 0xab0a;

/** Bytes: the kernel's own smallest block. */
const SECTOR_LENGTH = 512;

/** The calls that make a device work, which a test can make itself. */
export type DeviceCalls = Required<Pick<HostCalls, "controlInPool" | "socketPair">>;

/** What a device shall be, and who has its disk. */
export interface DeviceOptions {
  /** `/dev/nbd0` */
  readonly path: string;
  readonly server: NbdServer;
  readonly exportName: string;
  readonly calls?: DeviceCalls;
}

/** A device from when it was set up to when the kernel has let it go. */
export class KernelDevice implements AsyncDisposable {
  /** Settles when nobody serves the device any more: it was disconnected, or its server closed. Rejects with IO where the kernel gave up. */
  readonly gone: Promise<void>;
  readonly #path: string;
  readonly #fd: number;
  readonly #calls: DeviceCalls;
  #isGone = false;

  private constructor(path: string, fd: number, calls: DeviceCalls) {
    this.#path = path;
    this.#fd = fd;
    this.#calls = calls;
    this.gone = this.#serve();
    this.gone.catch(() => {});
  }

  /**
   * Gives the export to the kernel. Throws NOT_FOUND, NOT_ALLOWED or IO where the device cannot be had, UNSUPPORTED_FEATURE where the host's
   * calls are missing, and what opening the export throws.
   */
  static async connect({ path, server, exportName, calls }: DeviceOptions): Promise<KernelDevice> {
    const made = calls ?? (await deviceCalls());
    const fd = openDevice(path, "Failed to open");
    try {
      await setUp(fd, made, server, exportName);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return new KernelDevice(path, fd, made);
  }

  /** Takes the disk from the kernel: requests that it still has fail. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Not in this thread: the kernel sends its goodbye, for which the server may have to make room.
    if (!this.#isGone) await this.#calls.controlInPool(this.#fd, NBD_DISCONNECT, 0);
    await this.gone.catch(() => {});
  }

  /** The kernel takes a thread of Node's pool for as long as the device has its disk. */
  async #serve(): Promise<void> {
    let result: number;
    try {
      result = await this.#calls.controlInPool(this.#fd, NBD_DO_IT, 0);
      this.#isGone = true;
      for (const request of [NBD_CLEAR_QUE, NBD_CLEAR_SOCK]) await this.#calls.controlInPool(this.#fd, request, 0);
    } finally {
      closeSync(this.#fd);
    }
    // EPIPE is how it says that it was asked to end.
    if (result < 0 && result !== -constants.errno.EPIPE) throw callError(`the kernel no longer serves ${this.#path}`, result);
  }
}

/** Takes the disk from a device, whichever process serves it. Throws as `connect` does. */
export async function disconnectDevice(path: string, calls?: DeviceCalls): Promise<void> {
  const made = calls ?? (await deviceCalls());
  const fd = openDevice(path, "Cannot open");
  try {
    for (const request of [NBD_CLEAR_QUE, NBD_DISCONNECT, NBD_CLEAR_SOCK]) await made.controlInPool(fd, request, 0);
  } finally {
    closeSync(fd);
  }
}

async function deviceCalls(): Promise<DeviceCalls> {
  const { controlInPool, socketPair } = await loadHostCalls();
  if (controlInPool === undefined || socketPair === undefined)
    throw new BlockError("UNSUPPORTED_FEATURE", "Kernel /dev/nbdN support not available: it takes Linux and the package koffi");
  return { controlInPool, socketPair };
}

function openDevice(path: string, problem: string): number {
  try {
    return openSync(path, "r+");
  } catch (cause) {
    const { code = "EIO" } = cause as NodeJS.ErrnoException;
    const kind = code === "ENOENT" ? "NOT_FOUND" : code === "EACCES" || code === "EPERM" ? "NOT_ALLOWED" : "IO";
    throw new BlockError(kind, `${problem} ${path}: ${errnoWords(code)}`, { cause });
  }
}

/** One end of a pair of sockets for the server, the other one for the kernel, which keeps what it was given. */
async function setUp(fd: number, calls: DeviceCalls, server: NbdServer, exportName: string): Promise<void> {
  const pair = calls.socketPair();
  if (typeof pair === "number") throw callError("Failed to make a pair of sockets", pair);
  const [own, kernels] = pair;
  const stream = new Socket({ fd: own, allowHalfOpen: true, readable: true, writable: true });
  try {
    const { size, flags, minimumBlockSize }: AttachedExport = await server.attach(stream, exportName);
    const blockSize = Math.max(SECTOR_LENGTH, minimumBlockSize);
    const steps = [
      [NBD_SET_SOCK, kernels, "Failed to set NBD socket"],
      [NBD_SET_BLKSIZE, blockSize, "Failed setting NBD block size"],
      [NBD_SET_SIZE_BLOCKS, Math.floor(size / blockSize), "Failed setting size (in blocks)"],
      [NBD_SET_FLAGS, flags, "Failed setting flags"],
    ] as const;
    for (const [request, argument, problem] of steps) {
      const result = await calls.controlInPool(fd, request, argument);
      if (result < 0) throw callError(problem, result);
    }
  } catch (error) {
    stream.destroy();
    await calls.controlInPool(fd, NBD_CLEAR_SOCK, 0);
    throw error;
  } finally {
    closeSync(kernels);
  }
}

function callError(problem: string, result: number): BlockError {
  return new BlockError("IO", `${problem}: ${errnoWords(errnoName(-result))}`);
}
