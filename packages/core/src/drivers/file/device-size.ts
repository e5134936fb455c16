/** The sizes of devices of Linux. */

import type { BigIntStats, Stats } from "node:fs";
import { readFile } from "node:fs/promises";

/** The unit of /sys/dev/block/…/size, whatever the sectors of the device are. */
const SYSFS_SECTOR_LENGTH = 512;

/** `/dev/null`: a number that Linux gives to nothing else. */
const NULL_DEVICE = 0x103;

/** Whether it is `/dev/null`, which scripts name where an empty disk is wanted. */
export function isNullDevice(stats: Stats | BigIntStats): boolean {
  return stats.isCharacterDevice() && Number(stats.rdev) === NULL_DEVICE;
}

/** Bytes. `rdev` is what `stat` says; major and minor are packed in it as the C library does (makedev(3)). */
export async function deviceSize(rdev: bigint): Promise<number> {
  const major = ((rdev >> 8n) & 0xfffn) + ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) + ((rdev >> 12n) & 0xffffff00n);
  const sectors = await readFile(`/sys/dev/block/${major}:${minor}/size`, "latin1");
  return Number.parseInt(sectors, 10) * SYSFS_SECTOR_LENGTH;
}
