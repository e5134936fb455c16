/** The host calls of 64-bit Linux through koffi: numbers and structures of the kernel's interface (man pages, section 2). */

import { constants } from "node:os";

import { attributeCalls } from "./attribute-calls.ts";
import { CallQueue } from "./call-queue.ts";
import type { Advice, AllocateMode, FileRange, HostCalls } from "./host-calls.ts";

type Koffi = typeof import("koffi");
type Library = ReturnType<Koffi["load"]>;
type ForeignFunction = ReturnType<Library["func"]>;
type CallResult = (error: Error | null, result: number) => void;

/** Little-endian, 64-bit `off_t` and pointers, and the common numbers for `ioctl`: what the structures below are written for. */
const ARCHITECTURES: readonly string[] = ["x64", "arm64", "riscv64", "loong64"];

const RWF_NOWAIT = 8;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const KEEP_SIZE = 1;
const ALLOCATE_MODES: Readonly<Record<AllocateMode, number>> = { reserve: 0, punch: KEEP_SIZE + 0x02, zero: KEEP_SIZE + 0x10 };
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const FICLONERANGE = 0x4020940d;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const ADVICE: Readonly<Record<Advice, number>> = { normal: 0, random: 1, sequential: 2, "will need": 3, "do not need": 4 };

/** No calls at all on other hosts, without the optional package, and where its native part does not load. */
export async function loadLinuxCalls(): Promise<HostCalls> {
  if (process.platform !== "linux" || !ARCHITECTURES.includes(process.arch)) return {};
  let binding: Binding;
  try {
    const koffi = await import("koffi");
    binding = new Binding(koffi, koffi.load(null));
  } catch {
    return {};
  }
  return {
    ...readCalls(binding),
    ...seekCalls(binding),
    ...allocateCalls(binding),
    ...lockCalls(binding),
    ...copyCalls(binding),
    ...adviseCalls(binding),
    ...deviceCalls(binding),
  };
}

/** The C library that Node itself runs on. */
class Binding {
  readonly #koffi: Koffi;
  readonly #library: Library;
  readonly #queue: CallQueue = new CallQueue();

  constructor(koffi: Koffi, library: Library) {
    this.#koffi = koffi;
    this.#library = library;
  }

  /** `undefined` where this C library has no such function (preadv2 in an older musl). */
  find(name: string, result: string, parameters: readonly string[]): ForeignFunction | undefined {
    try {
      return this.#library.func(name, result, [...parameters]);
    } catch {
      return undefined;
    }
  }

  /** Where the bytes are; they stay there as long as something refers to them. */
  addressOf(bytes: ArrayBufferView): bigint {
    return this.#koffi.address(bytes);
  }

  /** The result of the call that was made just now, or its `-errno`. */
  orErrno(result: number): number {
    return result >= 0 ? result : -this.#koffi.errno();
  }

  /** Runs the call in Node's thread pool. Nothing that `parameters` point to may be freed before. */
  inPool(call: ForeignFunction, ...parameters: readonly (number | bigint)[]): Promise<number> {
    return this.#queue.run(
      () =>
        new Promise((resolve, reject) => {
          // koffi brings the errno of the pool's thread along for the time of this callback.
          const done: CallResult = (error, result) => (error === null ? resolve(this.orErrno(result)) : reject(error));
          call.async(...parameters, done);
        }),
    );
  }
}

function readCalls(binding: Binding): HostCalls {
  const preadv2 = binding.find("preadv2", "intptr_t", ["int", "uintptr_t", "int", "int64_t", "int"]);
  if (preadv2 === undefined) return {};
  // struct iovec { void *base; size_t length }: one for all calls, for they end before the next begins.
  const vector = new BigUint64Array(2);
  const lengths = new Uint32Array(vector.buffer, 8, 2);
  const vectorAddress = Number(binding.addressOf(vector));
  return {
    readNow(fd, offset, into) {
      vector[0] = binding.addressOf(into);
      lengths[0] = into.length;
      const count = preadv2(fd, vectorAddress, 1, offset, RWF_NOWAIT);
      return count >= 0 ? count : binding.orErrno(count);
    },
  };
}

function seekCalls(binding: Binding): HostCalls {
  const lseek = binding.find("lseek", "int64_t", ["int", "int64_t", "int"]);
  if (lseek === undefined) return {};
  return {
    seekData: (fd, offset) => binding.orErrno(lseek(fd, offset, SEEK_DATA)),
    seekHole: (fd, offset) => binding.orErrno(lseek(fd, offset, SEEK_HOLE)),
  };
}

function allocateCalls(binding: Binding): HostCalls {
  const fallocate = binding.find("fallocate", "int", ["int", "int", "int64_t", "int64_t"]);
  if (fallocate === undefined) return {};
  return {
    allocate: (fd, mode, offset, length) => binding.orErrno(fallocate(fd, ALLOCATE_MODES[mode], offset, length)),
    allocateInPool: (fd, mode, offset, length) => binding.inPool(fallocate, fd, ALLOCATE_MODES[mode], offset, length),
  };
}

/** Locks of an open file description: unlike the older POSIX ones they do not end when another descriptor of the file is closed. */
function lockCalls(binding: Binding): HostCalls {
  const fcntl = binding.find("fcntl", "int", ["int", "int", "uintptr_t"]);
  if (fcntl === undefined) return {};
  // struct flock { short type, whence; off_t start, length; pid_t pid }: whence 0 (from the start), pid 0 as these locks want it.
  const flock = new DataView(new ArrayBuffer(32));
  const address = binding.addressOf(flock);
  const call = (fd: number, command: number, type: number, offset: number, length: number): number => {
    flock.setInt32(0, type, true);
    flock.setBigInt64(8, BigInt(offset), true);
    flock.setBigInt64(16, BigInt(length), true);
    flock.setInt32(24, 0, true);
    return binding.orErrno(fcntl(fd, command, address));
  };
  return {
    lockShared: (fd, offset, length) => call(fd, F_OFD_SETLK, F_RDLCK, offset, length),
    isLocked(fd, offset, length) {
      const result = call(fd, F_OFD_GETLK, F_WRLCK, offset, length);
      if (result < 0) return result;
      return flock.getInt16(0, true) === F_UNLCK ? 0 : 1;
    },
  };
}

function copyCalls(binding: Binding): HostCalls {
  const copy = binding.find("copy_file_range", "intptr_t", ["int", "uintptr_t", "int", "uintptr_t", "size_t", "uint"]);
  const ioctl = binding.find("ioctl", "int", ["int", "uint64_t", "uintptr_t"]);
  return {
    ...(copy === undefined ? {} : { copyRangeInPool: (range: FileRange) => copyInPool(binding, copy, range) }),
    ...(ioctl === undefined ? {} : { cloneRangeInPool: (range: FileRange) => cloneInPool(binding, ioctl, range) }),
  };
}

async function copyInPool(binding: Binding, copy: ForeignFunction, range: FileRange): Promise<number> {
  const offsets = BigInt64Array.of(BigInt(range.sourceOffset), BigInt(range.targetOffset));
  const address = binding.addressOf(offsets);
  const result = await binding.inPool(copy, range.source, address, range.target, address + 8n, range.length, 0);
  return keeping(offsets, result);
}

/** struct file_clone_range { s64 source; u64 source_offset, source_length, target_offset } */
async function cloneInPool(binding: Binding, ioctl: ForeignFunction, range: FileRange): Promise<number> {
  const request = BigInt64Array.of(BigInt(range.source), BigInt(range.sourceOffset), BigInt(range.length), BigInt(range.targetOffset));
  const result = await binding.inPool(ioctl, range.target, FICLONERANGE, binding.addressOf(request));
  return keeping(request, result);
}

/** The kernel reads and writes the structure while the call runs: this use of it afterwards keeps it alive that long. */
function keeping(structure: BigInt64Array, result: number): number {
  return structure.length > 0 ? result : -constants.errno.EFAULT;
}

function adviseCalls(binding: Binding): HostCalls {
  const fadvise = binding.find("posix_fadvise", "int", ["int", "int64_t", "int64_t", "int"]);
  if (fadvise === undefined) return {};
  // Unlike the others it answers the error number itself.
  return { advise: (fd, advice, offset, length) => 0 - fadvise(fd, offset, length, ADVICE[advice]) };
}

function deviceCalls(binding: Binding): HostCalls {
  const ioctl = binding.find("ioctl", "int", ["int", "uint64_t", "uintptr_t"]);
  const socketpair = binding.find("socketpair", "int", ["int", "int", "int", "uintptr_t"]);
  return {
    ...(ioctl === undefined ? {} : { controlInPool: (fd, request, argument) => binding.inPool(ioctl, fd, request, argument) }),
    ...(ioctl === undefined ? {} : attributeCalls((fd, request, data) => binding.orErrno(ioctl(fd, request, binding.addressOf(data))))),
    ...(socketpair === undefined ? {} : { socketPair: () => pairOf(binding, socketpair) }),
  };
}

function pairOf(binding: Binding, socketpair: ForeignFunction): readonly [number, number] | number {
  const pair = new Int32Array(2);
  const result = binding.orErrno(socketpair(AF_UNIX, SOCK_STREAM + SOCK_CLOEXEC, 0, binding.addressOf(pair)));
  return result < 0 ? result : [pair[0] ?? -1, pair[1] ?? -1];
}
