/** The table of internal snapshots: bytes to values and back. qcow2 spec, "Snapshots". */

import { BlockError, hex } from "@coblock/core";
import { MAX_SNAPSHOT_EXTRA_BYTES } from "./limits.ts";
import { readNumber64, TWO_32, viewOf, writeNumber64 } from "./words.ts";

const FIXED_BYTES = 40;
/** Extra data that is understood: 64-bit VM state size, virtual size, instruction count. */
const KNOWN_EXTRA_BYTES = 24;

/** Offsets and sizes in bytes. */
export interface Snapshot {
  readonly id: string;
  readonly name: string;
  readonly l1Offset: number;
  readonly l1Entries: number;
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  readonly vmClockNanoseconds: bigint;
  readonly vmStateSize: number;
  /** Virtual size when it was made; absent in old images: the current one. */
  readonly diskSize: number | undefined;
  readonly icount: bigint | undefined;
  /** Kept byte for byte: text that need not be UTF-8, and what follows the extra data that is understood. */
  readonly raw: { readonly id: Uint8Array; readonly name: Uint8Array; readonly unknownExtra: Uint8Array };
}

export interface SnapshotTable {
  readonly snapshots: readonly Snapshot[];
  /** Bytes that the table takes in the file. */
  readonly length: number;
}

/** An entry with more extra data than is accepted. */
interface OverlongEntry {
  readonly index: number;
  /** Bytes from the start of the table. */
  readonly at: number;
  readonly extraLength: number;
}

export interface SnapshotEntries extends SnapshotTable {
  /** Those that are among the snapshots without the extra data that is not understood, and perhaps one more that `bytes` do not hold. */
  readonly overlong: readonly OverlongEntry[];
}

/**
 * Reads `count` entries. `bytes` may be cut short: `undefined` is answered where an entry needs more of them.
 * Throws CORRUPT_IMAGE for an entry that cannot be.
 */
export function decodeSnapshotTable(bytes: Uint8Array, count: number, tableOffset: number): SnapshotTable | undefined {
  const { snapshots, length, overlong } = decodeSnapshotEntries(bytes, count);
  const [first] = overlong;
  if (first !== undefined) {
    const { index, at, extraLength } = first;
    throw new BlockError(
      "CORRUPT_IMAGE",
      `snapshot ${index} at offset ${hex(tableOffset + at)} has ${extraLength} bytes of extra data, more than ${MAX_SNAPSHOT_EXTRA_BYTES}`,
      { offset: tableOffset + at },
    );
  }
  return snapshots.length < count ? undefined : { snapshots, length };
}

/** Reads as many of `count` entries as `bytes` hold; of those with too much extra data, what is understood. */
export function decodeSnapshotEntries(bytes: Uint8Array, count: number): SnapshotEntries {
  const snapshots: Snapshot[] = [];
  const overlong: OverlongEntry[] = [];
  const view = viewOf(bytes);
  let length = 0;
  for (let index = 0; index < count; index++) {
    const at = Math.ceil(length / 8) * 8;
    if (at + FIXED_BYTES > bytes.length) break;
    const extraLength = view.getUint32(at + 36);
    const isOverlong = extraLength > MAX_SNAPSHOT_EXTRA_BYTES;
    if (isOverlong) overlong.push({ index, at, extraLength });
    const end = at + FIXED_BYTES + extraLength + view.getUint16(at + 12) + view.getUint16(at + 14);
    if (end > bytes.length) break;
    const snapshot = decodeSnapshot(bytes.subarray(at, end), extraLength);
    snapshots.push(isOverlong ? { ...snapshot, raw: { ...snapshot.raw, unknownExtra: new Uint8Array(0) } } : snapshot);
    length = end;
  }
  return { snapshots, length, overlong };
}

/** The table as QEMU writes it: all extra data that is understood, and what is not as it was. `diskSize`: for entries that do not tell theirs. */
export function encodeSnapshotTable(snapshots: readonly Snapshot[], diskSize: number): Uint8Array {
  const places: number[] = [];
  let length = 0;
  for (const { raw } of snapshots) {
    const at = Math.ceil(length / 8) * 8;
    places.push(at);
    length = at + FIXED_BYTES + KNOWN_EXTRA_BYTES + raw.unknownExtra.length + raw.id.length + raw.name.length;
  }
  const bytes = new Uint8Array(length);
  for (const [index, snapshot] of snapshots.entries()) encodeSnapshot(bytes.subarray(places[index]), snapshot, diskSize);
  return bytes;
}

function encodeSnapshot(bytes: Uint8Array, snapshot: Snapshot, diskSize: number): void {
  const { raw, vmStateSize } = snapshot;
  const view = viewOf(bytes);
  writeNumber64(view, 0, snapshot.l1Offset);
  view.setUint32(8, snapshot.l1Entries);
  view.setUint16(12, raw.id.length);
  view.setUint16(14, raw.name.length);
  view.setUint32(16, snapshot.dateSeconds);
  view.setUint32(20, snapshot.dateNanoseconds);
  view.setBigUint64(24, snapshot.vmClockNanoseconds);
  // Readers that know the short field alone shall see a snapshot of the disk, not a part of the state.
  view.setUint32(32, vmStateSize < TWO_32 ? vmStateSize : 0);
  view.setUint32(36, KNOWN_EXTRA_BYTES + raw.unknownExtra.length);
  writeNumber64(view, 40, vmStateSize);
  writeNumber64(view, 48, snapshot.diskSize ?? diskSize);
  view.setBigInt64(56, snapshot.icount ?? -1n);
  let at = FIXED_BYTES + KNOWN_EXTRA_BYTES;
  for (const part of [raw.unknownExtra, raw.id, raw.name]) {
    bytes.set(part, at);
    at += part.length;
  }
}

function decodeSnapshot(bytes: Uint8Array, extraLength: number): Snapshot {
  const view = viewOf(bytes);
  const idAt = FIXED_BYTES + extraLength;
  const nameAt = idAt + view.getUint16(12);
  const raw = {
    id: Uint8Array.from(bytes.subarray(idAt, nameAt)),
    name: Uint8Array.from(bytes.subarray(nameAt)),
    unknownExtra: Uint8Array.from(bytes.subarray(Math.min(idAt, FIXED_BYTES + KNOWN_EXTRA_BYTES), idAt)),
  };
  const text = new TextDecoder();
  const icount = extraLength >= 24 ? view.getBigInt64(56) : -1n;
  return {
    id: text.decode(raw.id),
    name: text.decode(raw.name),
    l1Offset: readNumber64(view, 0, "L1 table offset of a snapshot"),
    l1Entries: view.getUint32(8),
    dateSeconds: view.getUint32(16),
    dateNanoseconds: view.getUint32(20),
    vmClockNanoseconds: view.getBigUint64(24),
    vmStateSize: extraLength >= 8 ? readNumber64(view, 40, "VM state size of a snapshot") : view.getUint32(32),
    diskSize: extraLength >= 16 ? readNumber64(view, 48, "virtual size of a snapshot") : undefined,
    icount: icount === -1n ? undefined : icount,
    raw,
  };
}
