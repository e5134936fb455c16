/** System calls that Node has no function for, where the host lets us make them. */

import { loadLinuxCalls } from "./linux-calls.ts";

/**
 * Each may be absent. Answers are counts or offsets, or `-errno`: "would block" and "not supported" are ordinary answers here.
 * Offsets and lengths are bytes. The calls that end in `InPool` run in Node's thread pool, a few at a time.
 */
export interface HostCalls {
  /** Reads what is in the page cache, never waits for a disk: a count (0 at the end of the file), -EAGAIN, or -EOPNOTSUPP. */
  readonly readNow?: (fd: number, offset: number, into: Uint8Array) => number;
  /** The first data at or behind `offset`; -ENXIO: none up to the end of the file. */
  readonly seekData?: (fd: number, offset: number) => number;
  /** The first hole at or behind `offset`; the end of the file counts as one. */
  readonly seekHole?: (fd: number, offset: number) => number;
  readonly allocate?: (fd: number, mode: AllocateMode, offset: number, length: number) => number;
  readonly allocateInPool?: (fd: number, mode: AllocateMode, offset: number, length: number) => Promise<number>;
  /** Takes a shared lock that belongs to this opening of the file and ends with it. */
  readonly lockShared?: (fd: number, offset: number, length: number) => number;
  /** 1 where another opening of the file holds a lock on one of the bytes, 0 where none does. */
  readonly isLocked?: (fd: number, offset: number, length: number) => number;
  /** Copies within the kernel; may copy less. The files keep their positions. */
  readonly copyRangeInPool?: (range: FileRange) => Promise<number>;
  /** Makes the target share the source's blocks: 0, or an error where the file system or the alignment does not allow it. */
  readonly cloneRangeInPool?: (range: FileRange) => Promise<number>;
  /** New blocks of the file are written in place, where the file system copies on write: 0, or an error. The file must be empty. */
  readonly stopCopyOnWrite?: (fd: number) => number;
  /** The file system is asked to allocate `length` bytes at a time: 0, or an error. The file must be empty. */
  readonly hintExtentSize?: (fd: number, length: number) => number;
  /** A request to a device (`ioctl`) whose argument is a number. It may wait for as long as the device likes. */
  readonly controlInPool?: (fd: number, request: number, argument: number) => Promise<number>;
  /** Two sockets that are connected with each other, or `-errno`. */
  readonly socketPair?: () => readonly [one: number, other: number] | number;
  readonly advise?: (fd: number, advice: Advice, offset: number, length: number) => number;
}

/** `reserve`: blocks for the range, the file grows to hold it; `zero` and `punch` make it read as zeros, `punch` gives the blocks back; neither changes the size. */
export type AllocateMode = "reserve" | "zero" | "punch";
export type Advice = "normal" | "random" | "sequential" | "will need" | "do not need";

export interface FileRange {
  readonly source: number;
  readonly sourceOffset: number;
  readonly target: number;
  readonly targetOffset: number;
  readonly length: number;
}

let loading: Promise<HostCalls> | undefined;

/** Loads them at the first call. With COBLOCK_HOST_CALLS=off, or where the host or the optional package does not allow it, all are absent. */
export function loadHostCalls(): Promise<HostCalls> {
  if (process.env["COBLOCK_HOST_CALLS"] === "off") return Promise.resolve({});
  loading ??= loadLinuxCalls();
  return loading;
}
