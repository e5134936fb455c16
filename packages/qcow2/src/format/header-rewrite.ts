/** How the first cluster changes when another backing file is named: by steps that a power cut may part anywhere. */

import { BlockError } from "@coblock/core";
import { type Header, HEADER_AT } from "./header.ts";
import { encodeRecords, type ExtensionRecord, extensionRecords, isInformative, withBackingFormat } from "./header-extensions.ts";
import { extensionArea } from "./header-rules.ts";
import { MAX_BACKING_FORMAT_BYTES, MAX_NAME_BYTES } from "./limits.ts";
import { viewOf, writeNumber64 } from "./words.ts";

/** What a disk writes as a whole. */
const SECTOR = 512;

/** What the header shall name; an empty name is none. */
export interface BackingWords {
  readonly filename: string;
  readonly format?: string | undefined;
}

/**
 * What the first cluster is after each step, the last one being what was asked for; a flush belongs between two. Each step changes either
 * its first sector alone, or nothing that the first sector leads to: whatever a power cut leaves names the old file or the new. Where the
 * cluster has no room for that it is one step. Fields and extensions that are unknown stay. Throws INVALID_OPTION for names too long.
 */
export function backingSteps(cluster: Uint8Array, header: Header, backing: BackingWords | undefined): readonly Uint8Array[] {
  const records = withBackingFormat(recordsOf(cluster, header), backing?.format);
  return headerSteps(cluster, header, { fields: cluster.subarray(0, extensionArea(header).start), records, name: encodeName(backing) });
}

/** What another first cluster is made of. */
export interface FirstCluster {
  /** All bytes before the extensions; where the name lies is filled in. */
  readonly fields: Uint8Array;
  readonly records: readonly ExtensionRecord[];
  /** Of the backing file; empty: none. */
  readonly name: Uint8Array;
}

/** The steps to another first cluster, as those of `backingSteps`: a power cut leaves the old one or the new. */
export function headerSteps(cluster: Uint8Array, header: Header, wanted: FirstCluster): readonly Uint8Array[] {
  const last = layOut(cluster, wanted);
  if (last === undefined)
    throw new BlockError("INVALID_OPTION", "the names of other files do not fit into the header, which is one cluster");
  if (sameBehind(cluster, last.bytes)) return [last.bytes];
  const { start } = extensionArea(header);
  const moved = moveOldName(cluster, header, last.end);
  const needed = recordsOf(cluster, header).filter((record) => !isInformative(record));
  const hidden = layOut(moved.bytes, { fields: moved.bytes.subarray(0, start), records: needed });
  if (hidden === undefined || hidden.end > Math.min(SECTOR, moved.nameStart)) return [last.bytes];
  const withOldName = (bytes: Uint8Array): Uint8Array => {
    const copy = new Uint8Array(bytes);
    copy.set(moved.bytes.subarray(moved.nameStart, moved.nameEnd), moved.nameStart);
    return copy;
  };
  const headOnly = joined(withOldName(hidden.bytes), moved.bytes);
  const behind = withOldName(last.bytes);
  return [...moved.steps, headOnly, joined(headOnly, behind), joined(last.bytes, behind), last.bytes];
}

/** The name of the backing file, as the first cluster has it. */
export function backingNameOf(cluster: Uint8Array, { backingOffset, backingLength }: Header): Uint8Array {
  return cluster.slice(backingOffset, backingOffset + (backingOffset === 0 ? 0 : backingLength));
}

/** The header extensions of the first cluster. */
export function recordsOf(cluster: Uint8Array, header: Header): readonly ExtensionRecord[] {
  const { start, end } = extensionArea(header);
  return [...extensionRecords(cluster.subarray(start, end), start)];
}

function encodeName(backing: BackingWords | undefined): Uint8Array {
  const name = new TextEncoder().encode(backing?.filename ?? "");
  const format = new TextEncoder().encode(backing?.format ?? "");
  const refuse = (what: string, length: number, limit: number): void => {
    if (length > limit) throw new BlockError("INVALID_OPTION", `${what} is ${length} bytes long, more than ${limit}`);
  };
  refuse("the name of the backing file", name.length, MAX_NAME_BYTES);
  refuse("the backing format", format.length, MAX_BACKING_FORMAT_BYTES);
  return name;
}

/** The first cluster with those fields and extensions, and with that name, if one is given, right behind them. `undefined`: they do not fit. */
function layOut(
  cluster: Uint8Array,
  { fields, records, name }: Omit<FirstCluster, "name"> & { readonly name?: Uint8Array },
): { readonly bytes: Uint8Array; readonly end: number } | undefined {
  const area = encodeRecords(records);
  const nameStart = fields.length + area.length;
  const end = nameStart + (name?.length ?? 0);
  if (end > cluster.length) return undefined;
  const bytes = new Uint8Array(cluster.length);
  bytes.set(fields);
  bytes.set(area, fields.length);
  if (name === undefined) return { bytes, end };
  bytes.set(name, nameStart);
  setName(bytes, name.length === 0 ? 0 : nameStart, name.length);
  return { bytes, end };
}

function setName(bytes: Uint8Array, offset: number, length: number): void {
  writeNumber64(viewOf(bytes), HEADER_AT.backing, offset);
  viewOf(bytes).setUint32(HEADER_AT.backing + 8, length);
}

/** A name that the first sector does not hold goes to the end of the cluster, out of the way: first its copy, then what leads to it. */
function moveOldName(cluster: Uint8Array, { backingOffset, backingLength }: Header, newEnd: number) {
  const oldEnd = backingOffset + backingLength;
  if (backingOffset === 0 || oldEnd <= SECTOR) {
    const nameStart = backingOffset === 0 ? SECTOR : backingOffset;
    return { bytes: cluster, steps: [], nameStart, nameEnd: Math.max(nameStart, oldEnd) };
  }
  const nameStart = cluster.length - Math.ceil(backingLength / 8) * 8;
  const nameEnd = nameStart + backingLength;
  if (nameStart < Math.max(oldEnd, newEnd, SECTOR)) return { bytes: cluster, steps: [], nameStart: 0, nameEnd: 0 };
  const copied = new Uint8Array(cluster);
  copied.set(cluster.subarray(backingOffset, oldEnd), nameStart);
  const led = new Uint8Array(copied);
  setName(led, nameStart, backingLength);
  return { bytes: led, steps: [copied, led], nameStart, nameEnd };
}

/** The first sector of one, and the rest of the other. */
function joined(first: Uint8Array, rest: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(rest);
  bytes.set(first.subarray(0, SECTOR));
  return bytes;
}

function sameBehind(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left.subarray(SECTOR), right.subarray(SECTOR)) === 0;
}
