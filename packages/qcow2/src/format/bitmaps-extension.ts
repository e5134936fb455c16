/** How the header comes to point to another bitmap directory, or to none: by steps that a power cut may part anywhere. */

import { BlockError } from "@coblock/core";
import { BITMAPS } from "./features.ts";
import { encodeFeatures, type Header, HEADER_AT } from "./header.ts";
import {
  BITMAPS_EXTENSION,
  type BitmapsExtension,
  encodeBitmapsData,
  encodeRecords,
  type ExtensionRecord,
  extensionRecords,
} from "./header-extensions.ts";
import { extensionArea } from "./header-rules.ts";
import { bytesOf64, viewOf } from "./words.ts";

/** What a disk writes as a whole. */
const SECTOR = 512;
const RECORD_HEAD = 8;
const DATA = 24;

/** A write to the first cluster; a flush belongs after each. */
interface HeaderStep {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** The steps, and what the header says when they are done. */
export interface HeaderChange {
  readonly steps: readonly HeaderStep[];
  readonly autoclear: bigint;
  readonly backingOffset: number;
}

/**
 * Whatever a power cut leaves: the old directory, the new one, or none that counts, since the autoclear bit is clear while the extension
 * is not whole. `autoclear` is what the header says now. Throws NO_SPACE where the first cluster has no room for the extension.
 */
export function bitmapsSteps(cluster: Uint8Array, header: Header, extension: BitmapsExtension | undefined): HeaderChange {
  const { start, end } = extensionArea(header);
  const records = [...extensionRecords(cluster.subarray(start, end), start)];
  const index = records.findIndex(({ type }) => type === BITMAPS_EXTENSION);
  const found = records[index];
  const bit = { on: header.autoclear | BITMAPS, off: header.autoclear & ~BITMAPS };
  const isOn = header.autoclear === bit.on;
  const done = (steps: readonly HeaderStep[], autoclear: bigint, backingOffset = header.backingOffset): HeaderChange => ({
    steps,
    autoclear,
    backingOffset,
  });
  if (extension === undefined) {
    const removal = found === undefined ? undefined : removalOf(records, index, found);
    return done([...(isOn ? [features(bit.off)] : []), ...(removal === undefined ? [] : [removal])], bit.off);
  }
  const data = encodeBitmapsData(extension);
  if (found === undefined) {
    const { steps, backingOffset } = append(cluster, header, endOf(records, start), data);
    return done([...steps, features(bit.on)], bit.on, backingOffset);
  }
  const write: HeaderStep = { at: found.offset + RECORD_HEAD, bytes: data };
  if (isOn && isOneSector(write)) return done([write], bit.on);
  return done([...(isOn ? [features(bit.off)] : []), write, features(bit.on)], bit.on);
}

function features(flags: bigint): HeaderStep {
  return { at: HEADER_AT.autoclear, bytes: encodeFeatures(flags) };
}

function isOneSector({ at, bytes }: HeaderStep): boolean {
  return Math.floor(at / SECTOR) === Math.floor((at + bytes.length - 1) / SECTOR);
}

function endOf(records: readonly ExtensionRecord[], start: number): number {
  const last = records.at(-1);
  return last === undefined ? start : last.offset + RECORD_HEAD + Math.ceil(last.data.length / 8) * 8;
}

/** First what stands behind the end marker, then the marker becomes the head of the record. A name that is in the way moves before. */
function append(cluster: Uint8Array, header: Header, at: number, data: Uint8Array) {
  const { backingOffset, backingLength } = header;
  const newEnd = at + RECORD_HEAD + DATA + RECORD_HEAD;
  const steps: HeaderStep[] = [];
  let nameAt = backingOffset;
  if (backingOffset !== 0 && backingOffset < newEnd) {
    nameAt = Math.max(newEnd, Math.ceil((backingOffset + backingLength) / 8) * 8);
    steps.push({ at: nameAt, bytes: cluster.slice(backingOffset, backingOffset + backingLength) });
    steps.push(nameSwitch(cluster, header, nameAt, at));
  }
  if (Math.max(newEnd, nameAt === 0 ? 0 : nameAt + backingLength) > cluster.length) throw noRoom();
  const behind = new Uint8Array(DATA + RECORD_HEAD);
  behind.set(data);
  const head = new Uint8Array(RECORD_HEAD);
  viewOf(head).setUint32(0, BITMAPS_EXTENSION);
  viewOf(head).setUint32(4, DATA);
  steps.push({ at: at + RECORD_HEAD, bytes: behind }, { at, bytes: head });
  return { steps, backingOffset: nameAt };
}

/** Points the header to the moved name. Where the old one began, extensions would go on: there must be an end marker from now on. */
function nameSwitch(cluster: Uint8Array, { backingOffset, backingLength }: Header, nameAt: number, markerAt: number): HeaderStep {
  const hasMarker = markerAt + RECORD_HEAD <= backingOffset;
  if (!hasMarker && markerAt + RECORD_HEAD > SECTOR) throw noRoom();
  const bytes = cluster.slice(HEADER_AT.backing, hasMarker ? HEADER_AT.backing + 12 : markerAt + RECORD_HEAD);
  bytes.set(bytesOf64(nameAt));
  viewOf(bytes).setUint32(8, backingLength);
  if (!hasMarker) bytes.fill(0, bytes.length - RECORD_HEAD);
  return { at: HEADER_AT.backing, bytes };
}

function noRoom(): BlockError {
  return new BlockError("NO_SPACE", "the header, which is one cluster, has no room for bitmaps");
}

/** The write that takes the record out, if one can do it as a whole: else it stays, and does not count. */
function removalOf(records: readonly ExtensionRecord[], index: number, found: ExtensionRecord): HeaderStep | undefined {
  const rest = records.slice(index + 1);
  const shifted = encodeRecords(rest);
  const step = { at: found.offset, bytes: shifted };
  return isOneSector(step) ? step : undefined;
}
