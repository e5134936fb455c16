/** What `info` tells of an image, in the words and the order of qemu-img. */

import { alignUp, type ImageInfo, type SnapshotInfo } from "@coblock/core";
import { BITMAP_AUTO, BITMAP_IN_USE, type Bitmap } from "../format/bitmap-directory.ts";
import { CORRUPT, DIRTY, EXTENDED_L2, EXTERNAL_DATA_FILE, LAZY_REFCOUNTS, RAW_EXTERNAL_DATA } from "../format/features.ts";
import { describeEncryption } from "../encryption/encryption-info.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import type { Description } from "./description.ts";

/** From the image file alone. */
export function describeImage(description: Description): ImageInfo {
  const { header, extensions, backingName, snapshots } = description;
  return {
    clusterSize: 2 ** header.clusterBits,
    vmStateOffset: alignUp(header.size, bytesPerL2Table(header)),
    encrypted: header.cryptMethod !== 0,
    dirty: (header.incompatible & DIRTY) !== 0n,
    corrupt: (header.incompatible & CORRUPT) !== 0n,
    ...(backingName === undefined ? {} : { backing: { filename: backingName, format: extensions.backingFormat } }),
    snapshots: snapshots.map(describeSnapshot),
    formatSpecific: { type: "qcow2", data: specificData(description) },
  };
}

/** The state of a machine lies behind the disk, where the first table that has no part of it begins. */
function bytesPerL2Table({ clusterBits, incompatible }: Description["header"]): number {
  const entrySize = (incompatible & EXTENDED_L2) === 0n ? 8 : 16;
  return 2 ** clusterBits * (2 ** clusterBits / entrySize);
}

function specificData({ header, extensions, bitmaps, luks }: Description): Record<string, unknown> {
  const { incompatible, compatible, autoclear, version } = header;
  const common = { compat: version === 2 ? "0.10" : "1.1", "compression-type": header.compressionType === 0 ? "zlib" : "zstd" };
  const width = { "refcount-bits": 2 ** header.refcountOrder };
  const encryption = describeEncryption(header, luks);
  if (version === 2) return { ...common, ...width, ...encryption };
  const isExternal = (incompatible & EXTERNAL_DATA_FILE) !== 0n;
  return {
    ...common,
    "lazy-refcounts": (compatible & LAZY_REFCOUNTS) !== 0n,
    ...(bitmaps.length === 0 ? {} : { bitmaps: bitmaps.map(describeBitmap) }),
    ...width,
    ...(isExternal && extensions.dataFile !== undefined ? { "data-file": extensions.dataFile } : {}),
    ...encryption,
    ...(isExternal ? { "data-file-raw": (autoclear & RAW_EXTERNAL_DATA) !== 0n } : {}),
    corrupt: (incompatible & CORRUPT) !== 0n,
    "extended-l2": (incompatible & EXTENDED_L2) !== 0n,
  };
}

function describeBitmap({ name, flags, granularity }: Bitmap): object {
  const names: string[] = [];
  if ((flags & BITMAP_IN_USE) !== 0) names.push("in-use");
  if ((flags & BITMAP_AUTO) !== 0) names.push("auto");
  return { flags: names, name, granularity };
}

/** A snapshot as `info` and `snapshots.list` tell it. */
export function describeSnapshot({
  id,
  name,
  vmStateSize,
  dateSeconds,
  dateNanoseconds,
  vmClockNanoseconds,
  icount,
}: Snapshot): SnapshotInfo {
  return { id, name, vmStateSize, dateSeconds, dateNanoseconds, vmClockNanoseconds, ...(icount === undefined ? {} : { icount }) };
}
