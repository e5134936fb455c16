/** Filters and drivers for tests, by QEMU's names. */

export type { BlkdebugOptions } from "./blkdebug/blkdebug-driver.ts";
export type { BlkverifyOptions } from "./blkverify/blkverify-driver.ts";
export type { CompressOptions } from "./compress-driver.ts";
export type { CopyOnReadOptions } from "./copy-on-read-driver.ts";
export {
  blkdebugDriver,
  blkverifyDriver,
  compressDriver,
  copyOnReadDriver,
  filterDrivers,
  nullAioDriver,
  nullCoDriver,
  preallocateDriver,
  quorumDriver,
  throttleDriver,
} from "./entries.ts";
export type { NullOptions } from "./null-driver.ts";
export type { PreallocateOptions } from "./preallocate-driver.ts";
export type { QuorumOptions } from "./quorum/quorum-driver.ts";
export { limitsOf, type Limit, type ThrottleLimits } from "./throttle/limits.ts";
export type { ThrottleOptions } from "./throttle/throttle-driver.ts";
export { ThrottleGroup } from "./throttle/throttle-group.ts";
