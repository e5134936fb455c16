/** Guest bytes written by the format itself, in exclusive mode and under the driver lock: for resize, preallocation and the state of a machine. */

import { alignDown, alignUp, assert, type Allocation, type Mapping } from "@coblock/core";
import { writeGuestBytes, writeGuestZeros } from "../encryption/guest-cipher.ts";
import { l1IndexOf, l2IndexOf } from "../format/geometry.ts";
import type { WritableMetadata } from "../metadata/metadata.ts";
import { abandon, allocate, link, type Ticket } from "./allocate.ts";
import { type ClearParts, zeroClusters } from "./clear.ts";
import { GuestReader, type GuestReaderParts } from "./guest-reader.ts";
import type { L2Place } from "../metadata/l2-entry.ts";
import { kindAt } from "../metadata/owned-space.ts";

export interface GuestAccessParts extends GuestReaderParts {
  readonly writable: WritableMetadata;
  readonly clear: ClearParts;
}

export class GuestAccess {
  readonly #parts: GuestAccessParts;
  readonly #reader: GuestReader;

  constructor(parts: GuestAccessParts) {
    this.#parts = parts;
    this.#reader = new GuestReader(parts);
  }

  /** As `GuestReader` does. */
  load(offset: number): Promise<void> {
    return this.#reader.load(offset);
  }

  /** The run at `offset`, to be written to. */
  map(offset: number, length: number): Promise<Mapping> {
    return this.#reader.map(offset, length, "write");
  }

  /** Each cluster has subclusters with states of their own. */
  get hasSubclusters(): boolean {
    return this.#parts.metadata.geometry.extendedL2;
  }

  /** Whether the cluster that begins at `offset` has a place in the file, and for how many of `length` bytes that goes on, at least one cluster. */
  async places(offset: number, length: number): Promise<{ readonly placed: boolean; readonly length: number }> {
    const { file, geometry, l1, l2 } = this.#parts.metadata;
    const l1Index = l1IndexOf(geometry, offset);
    const entry = l2IndexOf(geometry, offset);
    const l2Offset = l1.l2Offset(l1Index);
    if (l2Offset === 0) return { placed: false, length: Math.min(length, (geometry.l2Entries - entry) * geometry.clusterSize) };
    const slice = await l2.fetch(l2Offset, entry);
    const index = entry % l2.sliceEntries;
    const place: L2Place = { file, geometry, table: slice.table, l1Index, offset: slice.offset, firstEntry: entry - index };
    const hasPlace = (at: number): boolean => !["unallocated", "zero"].includes(kindAt(place, at).kind);
    const placed = hasPlace(index);
    let end = index + 1;
    while (end < l2.sliceEntries && (end - index) * geometry.clusterSize < length && hasPlace(end) === placed) end++;
    return { placed, length: (end - index) * geometry.clusterSize };
  }

  /** Gives the cluster at `offset` a place, with what it shows before `diskEnd` and zeros behind; answers its length. */
  async copyCluster(offset: number, diskEnd: number): Promise<number> {
    const { length } = await this.allocate(offset, this.#parts.metadata.geometry.clusterSize, (allocation) =>
      this.#copy(allocation, diskEnd),
    );
    return length;
  }

  /** Space for the run at `offset`, given to `write` and linked when that is done; `reserves` as of `link`. */
  async allocate(
    offset: number,
    length: number,
    write: (allocation: Allocation<Ticket>) => Promise<void>,
    reserves = false,
  ): Promise<Allocation<Ticket>> {
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
    await link(allocating, allocation, reserves);
    return allocation;
  }

  /** Writes whole sectors, which the L1 table has entries for. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const { subclusterSize } = this.#parts.lookup.geometry;
    for (let done = 0; done < bytes.length;) {
      const at = offset + done;
      const run = await this.map(at, bytes.length - done);
      const part = bytes.subarray(done, done + run.length);
      if (run.kind === "data" && run.writable) {
        await writeGuestBytes(run, at, part);
        done += run.length;
        continue;
      }
      const start = alignDown(at, subclusterSize);
      const { offset: first, length } = await this.allocate(start, alignUp(at + run.length, subclusterSize) - start, (allocation) =>
        this.#fill(allocation, at, part),
      );
      done = Math.min(first + length, at + run.length) - offset;
    }
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
    await this.#reader.read(offset, bytes.subarray(0, Math.max(0, Math.min(length, diskEnd - offset))));
    await writeGuestBytes(allocation, offset, bytes);
  }

  /** Fills new space: `bytes` belong at `at`, and around them stays what the guest has. */
  async #fill(allocation: Allocation<Ticket>, at: number, bytes: Uint8Array): Promise<void> {
    const { offset, length } = allocation;
    const all = new Uint8Array(length);
    const part = bytes.subarray(0, offset + length - at);
    if (part.length < length) await this.#reader.read(offset, all);
    all.set(part, at - offset);
    await writeGuestBytes(allocation, offset, all);
  }
}
