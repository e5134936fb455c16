/** Reads of a mapped image: from its children, its backing file, its compressed clusters, or zeros. */

import type { BlockEvent } from "../block-event.ts";
import type { BlockChild } from "../child.ts";
import type { HostSpan, IoOptions, MappedImage, Mapping, MaybePromise } from "../driver.ts";
import type { AddressLookup } from "./address-lookup.ts";
import { DecodedUnits } from "./decoded-units.ts";
import { PieceTasks } from "./piece-tasks.ts";
import type { RetiredSpace } from "./retired-space.ts";

/** Claims nothing: whatever a read meets was valid when it began, and retired space is not reused before it ends. */
export class MappedReader {
  readonly #image: MappedImage;
  readonly #lookup: AddressLookup;
  readonly #retired: RetiredSpace;
  readonly #decoded = new DecodedUnits();
  /** Who hears of reads; `undefined`: nobody. */
  readonly #events: BlockChild | undefined;

  constructor(image: MappedImage, lookup: AddressLookup, retired: RetiredSpace, events?: BlockChild) {
    this.#image = image;
    this.#lookup = lookup;
    this.#retired = retired;
    this.#events = events;
  }

  read(offset: number, into: Uint8Array, options: IoOptions | undefined): MaybePromise<void> {
    const found = this.#lookup.now(offset, into.length, "read");
    if (found === undefined || found.kind === "wait" || found.length < into.length) return this.#readPieces(offset, into, options);
    const suspended = this.#announce(found, undefined);
    if (suspended !== undefined) return this.#readPieces(offset, into, options, suspended);
    return this.#readMapped(found, offset, into, options);
  }

  /** Drops decoded copies of bytes whose space is about to be reused. */
  forget(span: HostSpan): void {
    this.#decoded.drop(span);
  }

  /** `suspended`: the first piece stands where it was announced. */
  async #readPieces(offset: number, into: Uint8Array, options: IoOptions | undefined, suspended?: Promise<BlockEvent>): Promise<void> {
    const pieces = new PieceTasks();
    try {
      let announced = suspended === undefined ? undefined : await suspended;
      for (let done = 0; done < into.length && !pieces.failed;) {
        options?.signal?.throwIfAborted();
        await pieces.room();
        const at = done;
        const step = await this.#lookup.with(offset + at, into.length - at, "read", options, (mapping) => {
          const announcing = this.#announce(mapping, announced);
          if (announcing !== undefined) return announcing;
          pieces.start(() => this.#readMapped(mapping, offset + at, into.subarray(at, at + mapping.length), options));
          return mapping.length;
        });
        announced = typeof step === "number" ? undefined : step;
        if (typeof step === "number") done += step;
      }
    } catch (error) {
      pieces.fail(error);
    }
    await pieces.settled();
  }

  /**
   * Tells of the I/O that a read of `mapping` begins with, unless that was `announced` already. A promise, of the name: the mapping is
   * stale when it is fulfilled.
   */
  #announce(mapping: Mapping, announced: BlockEvent | undefined): Promise<BlockEvent> | undefined {
    if (this.#events === undefined) return undefined;
    const name = this.#eventOf(mapping);
    return name === undefined || name === announced ? undefined : this.#events.event(name)?.then(() => name);
  }

  #eventOf({ kind }: Mapping): BlockEvent | undefined {
    if (kind === "unallocated") return this.#image.backing === undefined ? undefined : "read_backing_aio";
    return kind === "zero" ? undefined : kind === "data" ? "read_aio" : "read_compressed";
  }

  /** In the turn of the lookup. */
  #readMapped(mapping: Mapping, offset: number, into: Uint8Array, options: IoOptions | undefined): MaybePromise<void> {
    switch (mapping.kind) {
      case "data": {
        const { child, childOffset, transform } = mapping;
        const pending = readOrZero(child, childOffset, into, options);
        if (transform === undefined) return pending === undefined ? undefined : this.#inEpoch(pending);
        return this.#inEpoch(decodeAfter(pending, () => transform.decode({ guestOffset: offset, childOffset }, into)));
      }
      case "zero":
        into.fill(0);
        return undefined;
      case "unallocated":
        return this.#readBacking(offset, into, options);
      case "encoded":
        return this.#inEpoch(this.#readEncoded(mapping, into));
    }
  }

  #readBacking(offset: number, into: Uint8Array, options: IoOptions | undefined): MaybePromise<void> {
    const { backing } = this.#image;
    if (backing !== undefined) return readOrZero(backing, offset, into, options);
    into.fill(0);
    return undefined;
  }

  async #readEncoded(mapping: Extract<Mapping, { kind: "encoded" }>, into: Uint8Array): Promise<void> {
    const { stored, unitLength, skip } = mapping;
    if (skip === 0 && into.length === unitLength) return decodeUnit(mapping, into);
    const unit = await this.#decoded.get(stored, unitLength, async () => {
      const bytes = new Uint8Array(unitLength);
      await decodeUnit(mapping, bytes);
      return bytes;
    });
    into.set(unit.subarray(skip, skip + into.length));
  }

  async #inEpoch(pending: Promise<void>): Promise<void> {
    using _io = this.#retired.beginIo();
    await pending;
  }
}

/**
 * Bytes past the end of the child read as zeros: an image file may end before its last cluster does, a backing file before the overlay.
 * Where the child grows while it is read, the read begins anew: else a sector could be half of what it was, half of what it became.
 */
function readOrZero(child: BlockChild, childOffset: number, into: Uint8Array, options: IoOptions | undefined): MaybePromise<void> {
  const { size } = child;
  const present = Math.max(0, Math.min(into.length, size - childOffset));
  if (present === into.length) return child.read(childOffset, into, options);
  into.fill(0, present);
  if (present === 0) return undefined;
  const pending = child.read(childOffset, into.subarray(0, present), options);
  return pending?.then(() => (child.size > size ? readOrZero(child, childOffset, into, options) : undefined));
}

async function decodeAfter(pending: MaybePromise<void>, decode: () => MaybePromise<void>): Promise<void> {
  await pending;
  await decode();
}

async function decodeUnit(mapping: Extract<Mapping, { kind: "encoded" }>, unit: Uint8Array): Promise<void> {
  const { child, childOffset, length } = mapping.stored;
  const stored = new Uint8Array(Math.max(0, Math.min(length, child.size - childOffset)));
  if (stored.length > 0) await child.read(childOffset, stored);
  await mapping.decode(stored, unit);
}
