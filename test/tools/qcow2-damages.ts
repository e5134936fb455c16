/** Damage for qcow2 images, by name: each changes a few bytes of an image that qemu-img made. */

const COPIED = 2n ** 63n;
const COMPRESSED = 2n ** 62n;
const OFFSET_BITS = 0x00ff_ffff_ffff_fe00n;
const INCOMPATIBLE_AT = 72;

/** An image with the places of its tables; entries are looked up where the guest's pattern put them. */
export class DamagedImage {
  readonly bytes: Buffer;
  readonly clusterSize: bigint;
  readonly l1: number;
  readonly l2: number;
  readonly table: number;
  readonly block: number;
  readonly snapshots: number;
  readonly entrySize: number;

  constructor(sound: Buffer) {
    const bytes = Buffer.from(sound);
    this.bytes = bytes;
    this.clusterSize = 2n ** BigInt(bytes.readUInt32BE(20));
    this.l1 = Number(bytes.readBigUInt64BE(40));
    this.l2 = this.offsetAt(this.l1);
    this.table = Number(bytes.readBigUInt64BE(48));
    this.block = Number(bytes.readBigUInt64BE(this.table));
    this.snapshots = Number(bytes.readBigUInt64BE(64));
    this.entrySize = bytes.readUInt32BE(4) === 3 && (bytes.readBigUInt64BE(INCOMPATIBLE_AT) & 16n) !== 0n ? 16 : 8;
  }

  get(at: number): bigint {
    return this.bytes.readBigUInt64BE(at);
  }

  set(at: number, value: bigint): void {
    this.bytes.writeBigUInt64BE(value, at);
  }

  /** Flips bits of an entry. */
  flip(at: number, bits: bigint): void {
    this.set(at, this.get(at) ^ bits);
  }

  offsetAt(at: number): number {
    return Number(this.bytes.readBigUInt64BE(at) & OFFSET_BITS);
  }

  /** Where L2 entry `index` of the first table lies. */
  entry(index: number): number {
    return this.l2 + index * this.entrySize;
  }

  /** The refcount, 16 bits wide, of the cluster at `offset`. */
  refcount(offset: number | bigint, value: number): void {
    this.bytes.writeUInt16BE(value, this.block + Number(BigInt(offset) / this.clusterSize) * 2);
  }

  /** Sets an incompatible feature bit. */
  feature(bit: bigint): void {
    this.flip(INCOMPATIBLE_AT, bit);
  }

  /** The L1 table of the first snapshot. */
  get snapshotL1(): number {
    return this.offsetAt(this.snapshots);
  }
}

export type Damage = (image: DamagedImage) => void;

const NOWHERE = 2n ** 40n;
/** Past the end of every image, and near enough for qemu-img, which makes the file that long and walks through it. */
const BEYOND = 2n ** 30n;

/** Fit for every image with refcounts of 16 bits, whose first clusters hold data. */
export const PLAIN_DAMAGES: Readonly<Record<string, Damage>> = {
  leak: (image) => image.bytes.fill(0, image.entry(0), image.entry(2)),
  "refcount-zero": (image) => image.refcount(image.offsetAt(image.entry(1)), 0),
  "refcount-high": (image) => image.refcount(image.offsetAt(image.entry(1)), 7),
  "refcounts-l2-zero": (image) => image.refcount(image.l2, 0),
  "refcount-header-zero": (image) => image.refcount(0, 0),
  "refcount-block-zero": (image) => image.refcount(image.block, 0),
  "refcount-table-two": (image) => image.refcount(image.table, 2),
  "copied-cleared": (image) => image.flip(image.entry(1), COPIED),
  "copied-cleared-l1": (image) => image.flip(image.l1, COPIED),
  "entry-zero": (image) => image.set(image.entry(1), 0n),
  "entry-past-end": (image) => image.set(image.entry(1), COPIED | NOWHERE),
  "entry-past-end-zero-flag": (image) => image.set(image.entry(1), COPIED | NOWHERE | 1n),
  "entry-far-past-end": (image) => image.set(image.entry(1), COPIED | (2n ** 55n)),
  "entry-unaligned": (image) => image.flip(image.entry(1), 512n),
  "entry-unaligned-zero-flag": (image) => image.flip(image.entry(1), 513n),
  "entry-reserved-high": (image) => image.flip(image.entry(1), 2n ** 57n),
  "entry-reserved-low": (image) => image.flip(image.entry(1), 4n),
  "entry-zero-flag": (image) => image.flip(image.entry(1), 1n),
  "entry-compressed": (image) => image.flip(image.entry(1), COMPRESSED),
  "double-use": (image) => image.set(image.entry(1), image.get(image.entry(0))),
  "triple-use": (image) => [1, 2].forEach((index) => image.set(image.entry(index), image.get(image.entry(0)))),
  "double-use-counted": (image) => {
    image.refcount(image.offsetAt(image.entry(1)), 0);
    image.set(image.entry(1), image.get(image.entry(0)));
    image.refcount(image.offsetAt(image.entry(0)), 2);
  },
  "entry-to-header": (image) => image.set(image.entry(1), COPIED + image.clusterSize),
  "entry-to-l1": (image) => image.set(image.entry(1), COPIED | BigInt(image.l1)),
  "entry-to-l2": (image) => image.set(image.entry(1), COPIED | BigInt(image.l2)),
  "entry-to-refcount-block": (image) => image.set(image.entry(1), COPIED | BigInt(image.block)),
  "entry-to-refcount-table": (image) => image.set(image.entry(1), COPIED | BigInt(image.table)),
  "l1-past-end": (image) => image.set(image.l1, COPIED | NOWHERE),
  "l1-unaligned": (image) => image.flip(image.l1, 512n),
  "l1-reserved": (image) => image.flip(image.l1, 2n ** 58n),
  "l1-zero": (image) => image.set(image.l1, 0n),
  "l1-twice": (image) => image.set(image.l1 + 8, image.get(image.l1)),
  "l1-to-refcount-block": (image) => image.set(image.l1 + 8, COPIED | BigInt(image.block)),
  "table-past-end": (image) => image.set(image.table, BEYOND),
  "table-second-past-end": (image) => image.set(image.table + 8, BEYOND),
  "table-just-past-end": (image) => image.set(image.table + 8, (BigInt(image.bytes.length) / image.clusterSize + 2n) * image.clusterSize),
  "table-unaligned": (image) => image.flip(image.table, 512n),
  "table-reserved": (image) => image.flip(image.table, 4n),
  "table-zero": (image) => image.set(image.table, 0n),
  "table-block-twice": (image) => image.set(image.table + 8, image.get(image.table)),
  "table-to-l2": (image) => image.set(image.table + 8, BigInt(image.l2)),
  "block-erased": (image) => image.bytes.fill(0, image.block, image.block + Number(image.clusterSize)),
  "block-ones": (image) => image.bytes.fill(255, image.block, image.block + Number(image.clusterSize)),
  "tail-cut": (image) => image.bytes.fill(0, image.bytes.length - 1024),
};

/** With features of version 3. */
export const FLAG_DAMAGES: Readonly<Record<string, Damage>> = {
  dirty: (image) => image.feature(1n),
  corrupt: (image) => image.feature(2n),
  "dirty-corrupt": (image) => image.feature(3n),
};

/** For images with a snapshot that shares everything. */
export const SNAPSHOT_DAMAGES: Readonly<Record<string, Damage>> = {
  "snapshot-l1-unaligned": (image) => image.flip(image.snapshots, 512n),
  "snapshot-l1-past-end": (image) => image.set(image.snapshots, NOWHERE),
  "snapshot-l1-too-long": (image) => image.bytes.writeUInt32BE(0x0100_0000, image.snapshots + 8),
  "snapshot-entry-past-end": (image) => image.set(image.snapshotL1, NOWHERE),
  "snapshot-entry-reserved": (image) => image.flip(image.snapshotL1, 2n ** 58n),
  "snapshot-shares-copied": (image) => image.flip(image.entry(1), COPIED),
  "snapshot-shares-copied-l1": (image) => image.flip(image.l1, COPIED),
  "snapshot-refcount-one": (image) => image.refcount(image.offsetAt(image.entry(1)), 1),
  "snapshot-refcount-l2-one": (image) => image.refcount(image.l2, 1),
  "snapshot-without-sizes": (image) => {
    // The entry without its extra data: id and name follow at once.
    const at = image.snapshots;
    const extra = image.bytes.readUInt32BE(at + 36);
    const length = image.bytes.readUInt16BE(at + 12) + image.bytes.readUInt16BE(at + 14);
    image.bytes.copyWithin(at + 40, at + 40 + extra, at + 40 + extra + length);
    image.bytes.writeUInt32BE(0, at + 36);
  },
};

/** For images with extended L2 entries. */
export const SUBCLUSTER_DAMAGES: Readonly<Record<string, Damage>> = {
  "subclusters-clash": (image) => image.set(image.entry(1) + 8, 0x0000_0005_ffff_ffffn),
  "subclusters-without-cluster": (image) => image.set(image.entry(1), 0n),
  "subclusters-reserved-unaligned": (image) => {
    image.flip(image.entry(1), 512n);
    image.set(image.entry(1) + 8, 0x0000_00ff_0000_0000n);
  },
  "subclusters-of-compressed": (image) => image.set(image.entry(32) + 8, 1n),
};

/** For compressed clusters, which lie at entry 32. */
export const COMPRESSED_DAMAGES: Readonly<Record<string, Damage>> = {
  "compressed-copied": (image) => image.flip(image.entry(32), COPIED),
  "compressed-past-end": (image) => image.flip(image.entry(32), NOWHERE),
  "compressed-refcount-one": (image) => image.refcount(image.get(image.entry(32)) & 0x0000_00ff_ffff_ffffn, 1),
  "compressed-refcount-nine": (image) => image.refcount(image.get(image.entry(32)) & 0x0000_00ff_ffff_ffffn, 9),
};

/** For images with an external data file. */
export const DATA_FILE_DAMAGES: Readonly<Record<string, Damage>> = {
  "data-file-copied": (image) => image.flip(image.entry(1), COPIED),
  "data-file-unaligned": (image) => image.flip(image.entry(1), 512n),
  "data-file-compressed": (image) => image.flip(image.entry(1), COMPRESSED | COPIED),
  "data-file-reserved": (image) => image.flip(image.entry(1), 2n ** 57n),
};

/** For images with persistent bitmaps. */
export const BITMAP_DAMAGES: Readonly<Record<string, Damage>> = {
  "bitmaps-not-consistent": (image) => image.flip(88, 1n),
};
