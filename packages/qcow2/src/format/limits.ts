/** The largest structures that are accepted: QEMU's limits, so that every image goes both ways. */

const MIB = 1024 * 1024;

/** Bytes of the active L1 table, and of each snapshot's. */
export const MAX_L1_BYTES: number = 32 * MIB;
export const MAX_REFCOUNT_TABLE_BYTES: number = 8 * MIB;
export const MAX_SNAPSHOTS = 65_536;
export const MAX_SNAPSHOT_EXTRA_BYTES = 1024;
/** QEMU has no room for longer ones. */
export const MAX_SNAPSHOT_NAME_BYTES = 255;
export const MAX_SNAPSHOT_TABLE_BYTES: number = 64 * MIB;
export const MAX_BITMAPS = 65_535;
export const MAX_BITMAP_DIRECTORY_BYTES: number = 1024 * 65_535;
/** Entries of one bitmap's table. */
export const MAX_BITMAP_TABLE_ENTRIES = 0x800_0000;
/** Bits of one bitmap, as bytes. */
export const MAX_BITMAP_DATA_BYTES: number = 512 * MIB;
/** Bytes of the disk that a bit of a bitmap stands for. */
export const MIN_GRANULARITY = 512;
export const MAX_GRANULARITY: number = 2 ** 31;
/** Also of a bitmap's name. */
export const MAX_NAME_BYTES = 1023;
export const MAX_BACKING_FORMAT_BYTES = 15;
export const MIN_CLUSTER_BITS = 9;
export const MAX_CLUSTER_BITS = 21;
/** Subclusters are at least 512 bytes. */
export const MIN_EXTENDED_L2_CLUSTER_BITS = 14;
