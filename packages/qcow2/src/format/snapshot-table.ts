/** The table of internal snapshots: bytes to values. qcow2 spec, "Snapshots". */

import { BlockError, hex } from "@coblock/core";
import { MAX_SNAPSHOT_EXTRA_BYTES } from "./limits.ts";
import { readNumber64, viewOf } from "./words.ts";

const FIXED_BYTES = 40;

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
}

export interface SnapshotTable {
  readonly snapshots: readonly Snapshot[];
  /** Bytes that the table takes in the file. */
  readonly length: number;
}

/**
 * Reads `count` entries. `bytes` may be cut short: `undefined` is answered where an entry needs more of them.
 * Throws CORRUPT_IMAGE for an entry that cannot be.
 */
export function decodeSnapshotTable(bytes: Uint8Array, count: number, tableOffset: number): SnapshotTable | undefined {
  const snapshots: Snapshot[] = [];
  const view = viewOf(bytes);
  let at = 0;
  for (let index = 0; index < count; index++) {
    at = Math.ceil(at / 8) * 8;
    if (at + FIXED_BYTES > bytes.length) return undefined;
    const extraLength = view.getUint32(at + 36);
    if (extraLength > MAX_SNAPSHOT_EXTRA_BYTES) {
      throw new BlockError(
        "CORRUPT_IMAGE",
        `snapshot ${index} at offset ${hex(tableOffset + at)} has ${extraLength} bytes of extra data, more than ${MAX_SNAPSHOT_EXTRA_BYTES}`,
        { offset: tableOffset + at },
      );
    }
    const end = at + FIXED_BYTES + extraLength + view.getUint16(at + 12) + view.getUint16(at + 14);
    if (end > bytes.length) return undefined;
    snapshots.push(decodeSnapshot(bytes.subarray(at, end), extraLength));
    at = end;
  }
  return { snapshots, length: at };
}

function decodeSnapshot(bytes: Uint8Array, extraLength: number): Snapshot {
  const view = viewOf(bytes);
  const idAt = FIXED_BYTES + extraLength;
  const nameAt = idAt + view.getUint16(12);
  const text = new TextDecoder();
  const icount = extraLength >= 24 ? view.getBigInt64(56) : -1n;
  return {
    id: text.decode(bytes.subarray(idAt, nameAt)),
    name: text.decode(bytes.subarray(nameAt)),
    l1Offset: readNumber64(view, 0, "L1 table offset of a snapshot"),
    l1Entries: view.getUint32(8),
    dateSeconds: view.getUint32(16),
    dateNanoseconds: view.getUint32(20),
    vmClockNanoseconds: view.getBigUint64(24),
    vmStateSize: extraLength >= 8 ? readNumber64(view, 40, "VM state size of a snapshot") : view.getUint32(32),
    diskSize: extraLength >= 16 ? readNumber64(view, 48, "virtual size of a snapshot") : undefined,
    icount: icount === -1n ? undefined : icount,
  };
}
