/** Fills new space: the payload, and before and after it what the guest had there until now. */

import type { BlockEvent } from "../block-event.ts";
import type { BlockChild } from "../child.ts";
import type { Allocation, MappedImage, MaybePromise } from "../driver.ts";
import type { AddressLookup } from "./address-lookup.ts";
import { PieceTasks } from "./piece-tasks.ts";
import type { MappedReader } from "./reader.ts";

/** Up to this many bytes, kept bytes and payload go out in one write: a copy in memory costs less than a second system call. */
const MERGE_LENGTH = 256 * 1024;

export interface CopyOnWriteParts {
  readonly image: MappedImage;
  readonly reader: MappedReader;
  readonly lookup: AddressLookup;
  /** Who hears of the reads and writes. */
  readonly events?: BlockChild | undefined;
}

/** Guest bytes that a request brings. */
export interface Payload {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A stretch of the new space: its bytes, or zeros. */
interface Part {
  readonly offset: number;
  readonly length: number;
  readonly bytes: Uint8Array | undefined;
}

/** Under the exclusive claim of the allocation, without the driver lock. */
export async function writeAllocated(parts: CopyOnWriteParts, allocation: Allocation, payload: Payload): Promise<void> {
  const payloadEnd = payload.offset + payload.bytes.length;
  const head = await keptPart(parts, allocation.offset, payload.offset);
  const tail = await keptPart(parts, payloadEnd, allocation.offset + allocation.length);
  const body: Part = { offset: payload.offset, length: payload.bytes.length, bytes: payload.bytes };
  const needed = [head, body, tail].filter((part) => part.length > 0 && (part.bytes !== undefined || needsZeros(allocation)));
  const first = needed[0] ?? body;
  const last = needed[needed.length - 1] ?? body;
  const span = { offset: first.offset, length: last.offset + last.length - first.offset };
  if (needed.length > 1 && span.length > MERGE_LENGTH && allocation.transform === undefined)
    return writeApart(parts.events, allocation, body, needed);
  const bytes = needed.length > 1 ? merge(span, needed) : payload.bytes;
  if (parts.events !== undefined) {
    if (needed.length > 1) await parts.events.event("cow_write");
    await parts.events.event("write_aio");
  }
  return writeOut(allocation, span.offset, bytes);
}

function needsZeros(allocation: Allocation): boolean {
  return !allocation.readsZero || allocation.transform !== undefined;
}

/** What the guest has in [start, end); `bytes` stay away where the mapping says that it is all zeros. */
async function keptPart(parts: CopyOnWriteParts, start: number, end: number): Promise<Part> {
  const length = end - start;
  const inside = Math.max(0, Math.min(end, parts.image.size) - start);
  if (length === 0 || inside === 0 || (await mapsToZeros(parts, start, inside))) return { offset: start, length, bytes: undefined };
  await parts.events?.event("cow_read");
  const bytes = new Uint8Array(length);
  await parts.reader.read(start, bytes.subarray(0, inside), undefined);
  return { offset: start, length, bytes };
}

async function mapsToZeros({ image, lookup }: CopyOnWriteParts, offset: number, length: number): Promise<boolean> {
  for (let done = 0; done < length;) {
    const run = await lookup.with(offset + done, length - done, "status", undefined, ({ kind, length: runLength }) => ({
      kind,
      length: runLength,
    }));
    const shown = image.backing !== undefined && offset + done < image.backing.size;
    if (run.kind !== "zero" && (run.kind !== "unallocated" || shown)) return false;
    done += run.length;
  }
  return true;
}

function merge(span: { readonly offset: number; readonly length: number }, needed: readonly Part[]): Uint8Array {
  const bytes = new Uint8Array(span.length);
  for (const part of needed) if (part.bytes !== undefined) bytes.set(part.bytes, part.offset - span.offset);
  return bytes;
}

async function writeOut(allocation: Allocation, offset: number, bytes: Uint8Array): Promise<void> {
  const childOffset = allocation.childOffset + (offset - allocation.offset);
  if (allocation.transform === undefined) return allocation.child.write(childOffset, bytes);
  const encoded = new Uint8Array(bytes.length);
  await allocation.transform.encode({ guestOffset: offset, childOffset }, bytes, encoded);
  return allocation.child.write(childOffset, encoded);
}

async function writeApart(events: BlockChild | undefined, allocation: Allocation, body: Part, needed: readonly Part[]): Promise<void> {
  const pieces = new PieceTasks();
  for (const part of needed) {
    const childOffset = allocation.childOffset + (part.offset - allocation.offset);
    const { bytes } = part;
    const write = (): MaybePromise<void> =>
      bytes === undefined ? allocation.child.writeZeroes(childOffset, part.length) : allocation.child.write(childOffset, bytes);
    pieces.start(() => announced(events, part === body ? "write_aio" : "cow_write", write));
  }
  await pieces.settled();
}

function announced(events: BlockChild | undefined, name: BlockEvent, write: () => MaybePromise<void>): MaybePromise<void> {
  const suspended = events?.event(name);
  return suspended === undefined ? write() : suspended.then(write);
}
