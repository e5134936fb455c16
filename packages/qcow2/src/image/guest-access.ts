/** Guest bytes read and written by the format itself, in exclusive mode and under the driver lock: for resize and preallocation. */

import { alignDown, alignUp, assert, type Allocation, type BlockChild, type Mapping } from "@coblock/core";
import { writeGuestBytes, writeGuestZeros } from "../encryption/guest-cipher.ts";
import { l1IndexOf, l2IndexOf } from "../format/geometry.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { abandon, allocate, link, type Ticket } from "./allocate.ts";
import { type ClearParts, zeroClusters } from "./clear.ts";
import { lookup, type LookupParts } from "./lookup.ts";

export interface GuestAccessParts {
  readonly metadata: Metadata;
  readonly writable: WritableMetadata;
  readonly lookup: LookupParts;
  readonly backing: BlockChild | undefined;
  readonly clear: ClearParts;
}

export class GuestAccess {
  readonly #parts: GuestAccessParts;

  constructor(parts: GuestAccessParts) {
    this.#parts = parts;
  }

  /** Brings in the part of the L2 table that maps `offset`: with the lock held nobody can wait for it. */
  async load(offset: number): Promise<void> {
    const { geometry, l1, l2 } = this.#parts.metadata;
    const l2Offset = l1.l2Offset(l1IndexOf(geometry, offset));
    if (l2Offset !== 0) await l2.fetch(l2Offset, l2IndexOf(geometry, offset));
  }

  /** The run at `offset`; tables are loaded with the lock held. */
  async map(offset: number, length: number): Promise<Mapping> {
    const { metadata, lookup: parts } = this.#parts;
    await this.load(offset);
    const found = lookup(metadata, parts, offset, length, "write");
    if (found.kind !== "wait") return found;
    await found.until;
    return this.map(offset, length);
  }

  /** Space for the run at `offset`, given to `write` and linked when that is done. */
  async allocate(offset: number, length: number, write: (allocation: Allocation<Ticket>) => Promise<void>): Promise<Allocation<Ticket>> {
    const { metadata, writable, lookup: parts } = this.#parts;
    const allocating = { metadata, writable, data: parts.data, transform: parts.transform };
    await this.load(offset);
    const allocation = await allocate(allocating, { offset, length });
    assert(!("kind" in allocation), "the table is loaded");
    try {
      await write(allocation);
    } catch (error) {
      await abandon(allocating, allocation);
      throw error;
    }
    writable.writeOut.wroteData(allocation.child);
    await link(allocating, allocation);
    return allocation;
  }

  /** Makes [offset, offset + length), within one cluster, read as zeros; what the guest has before `diskEnd` is kept. */
  async writeZeros(offset: number, length: number, diskEnd: number): Promise<void> {
    const { subclusterSize } = this.#parts.lookup.geometry;
    for (let at = offset; at < offset + length;) {
      const run = await this.map(at, offset + length - at);
      const readsZero = run.kind === "zero" || (run.kind === "unallocated" && at >= (this.#parts.backing?.size ?? 0));
      if (run.kind === "data" && run.writable) await writeGuestZeros(run, at, run.length);
      else if (!readsZero) {
        const start = alignDown(at, subclusterSize);
        const { offset: first, length: done } = await this.allocate(start, alignUp(at + run.length, subclusterSize) - start, (allocation) =>
          this.#copy(allocation, diskEnd),
        );
        at = first + done;
        continue;
      }
      at += run.length;
    }
  }

  /** Makes whole clusters read as zeros that have a place in the file, which they keep; answers whether the format can say so. */
  async zeroInPlace(offset: number, length: number): Promise<boolean> {
    for (let done = 0; done < length;) {
      await this.load(offset + done);
      const changed = await zeroClusters(this.#parts.clear, offset + done, length - done, false);
      assert(typeof changed === "number", "the table is loaded");
      if (changed === 0) return false;
      done += changed;
    }
    return true;
  }

  async #copy(allocation: Allocation<Ticket>, diskEnd: number): Promise<void> {
    const { offset, length } = allocation;
    const bytes = new Uint8Array(length);
    await this.#read(offset, bytes.subarray(0, Math.max(0, Math.min(length, diskEnd - offset))));
    await writeGuestBytes(allocation, offset, bytes);
  }

  async #read(offset: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length;) {
      const run = await this.map(offset + done, into.length - done);
      await this.#readRun(run, offset + done, into.subarray(done, done + run.length));
      done += run.length;
    }
  }

  async #readRun(run: Mapping, offset: number, into: Uint8Array): Promise<void> {
    if (run.kind === "data") {
      await readPresent(run.child, run.childOffset, into);
      return run.transform?.decode({ guestOffset: offset, childOffset: run.childOffset }, into);
    }
    if (run.kind === "unallocated" && this.#parts.backing !== undefined) return readPresent(this.#parts.backing, offset, into);
    if (run.kind !== "encoded") return;
    const stored = new Uint8Array(run.stored.length);
    const present = Math.max(0, Math.min(stored.length, run.stored.child.size - run.stored.childOffset));
    await readPresent(run.stored.child, run.stored.childOffset, stored);
    const unit = new Uint8Array(run.unitLength);
    await run.decode(stored.subarray(0, present), unit);
    into.set(unit.subarray(run.skip, run.skip + into.length));
  }
}

/** Bytes past the end of the file stay zero. */
async function readPresent(child: BlockChild, offset: number, into: Uint8Array): Promise<void> {
  const present = Math.max(0, Math.min(into.length, child.size - offset));
  if (present > 0) await child.read(offset, into.subarray(0, present));
}
