/** Everything that users of Coblock and authors of drivers import. */

export { DirtyBitmap, type DirtyBitmapOptions, type DirtyExtent } from "./bitmap/dirty-bitmap.ts";
export type { ImageBitmaps } from "./bitmap/image-bitmaps.ts";
export type { NewBitmap, NodeBitmaps } from "./bitmap/node-bitmaps.ts";
export type { BlockEvent } from "./block-event.ts";
export type { Breakpoints } from "./breakpoints.ts";
export { BlockChild } from "./child.ts";
export * from "./checking.ts";
export * from "./creation.ts";
export * from "./driver.ts";
export { assert, BlockError, hex, wantedFor, type BlockErrorCode, type BlockErrorDetails } from "./errors.ts";
export type { BlockStatus, ExtentRange } from "./extents.ts";
export { BlockGraph, type BlockGraphOptions, type OpenOptions } from "./graph.ts";
export type { CreateOptions } from "./graph/create-image.ts";
export { PREALLOCATION_OPTION } from "./drivers/preallocation-option.ts";
export { nestOptions, parseFileName, resolveBeside, type ParsedName } from "./graph/filename.ts";
export type { ImplicitOpen, ImplicitOpenRule } from "./graph/graph-parts.ts";
export { BlockNode } from "./node.ts";
export type { DrainedNode } from "./drained-node.ts";
export { newSpaceReadsZero } from "./below.ts";
export { backingOf, chainOf, filteredBy, type NewBacking } from "./chain.ts";
export type { CommonOptions, DescribedNode, DriverOptions, NodeOptions } from "./options.ts";
export type { NodeChange, PreparedReopen, ReopenOptions } from "./reopen.ts";
export type { Secrets } from "./secrets.ts";
export type { RequestKind } from "./request/tracker.ts";
export type { RequestTrace } from "./request/trace.ts";
export {
  findSnapshot,
  type ImageSnapshots,
  type MachineState,
  type NodeSnapshots,
  type SnapshotInfo,
  type SnapshotSelector,
} from "./snapshots.ts";
export type { ImageVmState, NodeVmState } from "./vm-state.ts";

export { alignDown, alignUp, isPowerOfTwo } from "./binary/align.ts";
export { SparseSet } from "./binary/sparse-set.ts";
export { isZero, MAX_ZEROS, zeros } from "./binary/zeros.ts";

export type { Clock, TimerOptions } from "./coroutine/clock.ts";
export { Guarded, type GuardedHeld } from "./coroutine/guarded.ts";
export type { Held, LockReport, WaitOptions } from "./coroutine/held.ts";
export { InlineOffload } from "./coroutine/inline-offload.ts";
export { CoMutex, type IfSync } from "./coroutine/mutex.ts";
export type { Offload } from "./coroutine/offload.ts";
export { CoQueue } from "./coroutine/queue.ts";
export { CoRwLock } from "./coroutine/rw-lock.ts";
export { SimulatedClock, type SimulatedClockOptions } from "./coroutine/simulated-clock.ts";
export { CoSleep, type SleepOptions } from "./coroutine/sleep.ts";
export { IdleTask, type IdleTaskOptions } from "./coroutine/idle-task.ts";
export { SystemClock } from "./coroutine/system-clock.ts";
export { TaskGroup, type TaskGroupOptions } from "./coroutine/task-group.ts";
export { observeTouches, type TouchKind, type Witness } from "./coroutine/witness.ts";

export { errnoName, errnoWords } from "./host/errno.ts";
export type { Entropy } from "./host/entropy.ts";
export { systemEntropy } from "./host/entropy.ts";

export { TableCache, type CachedTable, type TableCacheOptions, type TableCacheStatistics } from "./mapping/table-cache.ts";

export { loadBlockCiphers, type BlockCiphers } from "./host/block-ciphers.ts";
export { loadHostCalls, type HostCalls } from "./host/host-calls.ts";
export { loadHostCodecs, type HostCodec, type HostCodecs } from "./host/codec-calls.ts";

export { fileDriver } from "./drivers/file/entry.ts";
export { FILE_HINTS } from "./drivers/file/file-hints.ts";
export { memoryDriver } from "./drivers/memory.ts";
export { nullDriver } from "./drivers/null.ts";
export { rawDriver } from "./drivers/raw/entry.ts";

export { BlockStatusError, compareDisks, CompareReadError, type CompareDisksOptions, type Comparison } from "./jobs/compare.ts";
export { commitDisk, type CommitDiskOptions } from "./jobs/commit.ts";
export { copyDisk, CopyWriteError, type CopyDiskOptions, type CopySource } from "./jobs/copy.ts";
export { JobControl } from "./jobs/job-control.ts";
export { rebaseDisk, type RebaseDiskOptions } from "./jobs/rebase.ts";
