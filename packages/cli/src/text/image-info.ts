/** What `info` tells of one image, as text and as JSON. */

import type { ImageInfo, SnapshotInfo } from "@coblock/core";
import type { JsonValue } from "./json.ts";
import { formatSize } from "./size.ts";
import { describeSnapshots } from "./snapshot-list.ts";

export interface ImageFacts {
  readonly fileName: string;
  /** As it would be opened the same way. */
  readonly shownName: string;
  readonly format: string;
  /** Bytes of the guest's disk. */
  readonly virtualSize: number;
  /** Bytes on the host, where known. */
  readonly actualSize: number | undefined;
  /** The backing file's name as seen from here. */
  readonly fullBackingName: string | undefined;
  /** Whether the driver could tell of an image that was not closed. */
  readonly knowsDirty: boolean;
  readonly info: ImageInfo;
}

/** As text, one fact a line. */
export function describeInfo({ shownName, format, virtualSize, actualSize, fullBackingName, info }: ImageFacts): string {
  const lines = [
    `image: ${shownName}`,
    `file format: ${format}`,
    `virtual size: ${formatSize(virtualSize)} (${virtualSize} bytes)`,
    `disk size: ${actualSize === undefined ? "unavailable" : formatSize(actualSize)}`,
  ];
  if (info.encrypted === true) lines.push("encrypted: yes");
  if (info.clusterSize !== undefined) lines.push(`cluster_size: ${info.clusterSize}`);
  if (info.dirty === true) lines.push("cleanly shut down: no");
  if (info.backing !== undefined) {
    const { filename, format: backingFormat } = info.backing;
    lines.push(`backing file: ${filename}${fullBackingName === filename ? "" : ` (actual path: ${fullBackingName})`}`);
    if (backingFormat !== undefined) lines.push(`backing file format: ${backingFormat}`);
  }
  lines.push(...describeSnapshots(info.snapshots ?? []));
  if (info.formatSpecific !== undefined) lines.push("Format specific information:", ...describeMembers(info.formatSpecific.data, 4));
  return lines.map((line) => `${line}\n`).join("");
}

/** In the order of qemu-img. */
export function infoJson({ shownName, format, virtualSize, actualSize, fullBackingName, knowsDirty, info }: ImageFacts): JsonValue {
  return {
    compressed: info.compressed === true ? true : undefined,
    "backing-filename-format": info.backing?.format,
    snapshots: info.snapshots === undefined || info.snapshots.length === 0 ? undefined : info.snapshots.map(snapshotJson),
    "virtual-size": virtualSize,
    filename: shownName,
    "cluster-size": info.clusterSize,
    format,
    "actual-size": actualSize,
    "format-specific":
      info.formatSpecific === undefined ? undefined : { type: info.formatSpecific.type, data: info.formatSpecific.data as JsonValue },
    "full-backing-filename": fullBackingName,
    encrypted: info.encrypted === true ? true : undefined,
    "backing-filename": info.backing?.filename,
    "dirty-flag": knowsDirty ? (info.dirty ?? false) : undefined,
  };
}

const NANOSECONDS = 1_000_000_000n;
function snapshotJson(snapshot: SnapshotInfo): JsonValue {
  return {
    icount: snapshot.icount,
    "vm-clock-nsec": snapshot.vmClockNanoseconds % NANOSECONDS,
    name: snapshot.name,
    "date-sec": snapshot.dateSeconds,
    "date-nsec": snapshot.dateNanoseconds,
    "vm-clock-sec": snapshot.vmClockNanoseconds / NANOSECONDS,
    id: snapshot.id,
    "vm-state-size": snapshot.vmStateSize,
  };
}

/** `name: value`, one a line; what has members stands below its name, indented. */
export function describeMembers(value: object, indent: number): readonly string[] {
  const isList = Array.isArray(value);
  const lines: string[] = [];
  for (const [name, member] of Object.entries(value) as Array<[string, unknown]>) {
    if (member === undefined) continue;
    const label = `${" ".repeat(indent)}${isList ? `[${name}]` : name.replaceAll("-", " ")}:`;
    if (typeof member === "object" && member !== null) lines.push(label, ...describeMembers(member, indent + 4));
    else lines.push(`${label} ${member as string | number | bigint | boolean | null}`);
  }
  return lines;
}
