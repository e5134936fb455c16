/** The size of a block device of Linux. */

import { readFile } from "node:fs/promises";

/** The unit of /sys/dev/block/…/size, whatever the sectors of the device are. */
const SYSFS_SECTOR_LENGTH = 512;

/** Bytes. `rdev` is what `stat` says; major and minor are packed in it as the C library does (makedev(3)). */
export async function deviceSize(rdev: bigint): Promise<number> {
  const major = ((rdev >> 8n) & 0xfffn) + ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) + ((rdev >> 12n) & 0xffffff00n);
  const sectors = await readFile(`/sys/dev/block/${major}:${minor}/size`, "latin1");
  return Number.parseInt(sectors, 10) * SYSFS_SECTOR_LENGTH;
}
