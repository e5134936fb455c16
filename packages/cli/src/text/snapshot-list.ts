/** The list of snapshots as `info` and `snapshot -l` print it. */

import type { SnapshotInfo } from "@coblock/core";
import { formatSize } from "./size.ts";

/** Lines, none for no snapshots. */
export function describeSnapshots(snapshots: readonly SnapshotInfo[]): readonly string[] {
  return snapshots.length === 0 ? [] : ["Snapshot list:", SNAPSHOT_HEADER, ...snapshots.map(snapshotLine)];
}

const NANOSECONDS = 1_000_000_000n;
const SNAPSHOT_HEADER = snapshotColumns("ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");

function snapshotLine(snapshot: SnapshotInfo): string {
  const { id, name, vmStateSize, dateSeconds, vmClockNanoseconds, icount } = snapshot;
  return snapshotColumns(
    id,
    name,
    formatSize(vmStateSize),
    localTime(dateSeconds),
    clockTime(vmClockNanoseconds),
    icount === undefined ? "" : String(icount),
  );
}

/** Columns are counted in bytes of UTF-8. */
function snapshotColumns(id: string, tag: string, vmSize: string, date: string, vmClock: string, icount: string): string {
  return `${padBytes(id, 9)} ${padBytes(tag, 16)} ${vmSize.padStart(8)}${date.padStart(20)}${vmClock.padStart(13)}${icount.padStart(11)}`;
}

function padBytes(text: string, length: number): string {
  return text + " ".repeat(Math.max(length - Buffer.byteLength(text), 0));
}

function localTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (number: number): string => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Hours, minutes, seconds and milliseconds of the guest's clock. */
function clockTime(nanoseconds: bigint): string {
  const seconds = Number(nanoseconds / NANOSECONDS);
  const two = (number: number): string => String(number).padStart(2, "0");
  const milliseconds = String((nanoseconds % NANOSECONDS) / 1_000_000n).padStart(3, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${milliseconds}`;
}
