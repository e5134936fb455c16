/** Reads of a mapped image: from its children, its backing file, its compressed clusters, or zeros. */

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

  constructor(image: MappedImage, lookup: AddressLookup, retired: RetiredSpace) {
    this.#image = image;
    this.#lookup = lookup;
    this.#retired = retired;
  }

  read(offset: number, into: Uint8Array, options: IoOptions | undefined): MaybePromise<void> {
    const found = this.#lookup.now(offset, into.length, "read");
    if (found === undefined || found.kind === "wait" || found.length < into.length) return this.#readPieces(offset, into, options);
    return this.#readMapped(found, offset, into, options);
  }

  /** Drops decoded copies of bytes whose space is about to be reused. */
  forget(span: HostSpan): void {
    this.#decoded.drop(span);
  }

  async #readPieces(offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
    const pieces = new PieceTasks();
    try {
      for (let done = 0; done < into.length && !pieces.failed;) {
        options?.signal?.throwIfAborted();
        await pieces.room();
        const at = done;
        done += await this.#lookup.with(offset + at, into.length - at, "read", options, (mapping) => {
          pieces.start(() => this.#readMapped(mapping, offset + at, into.subarray(at, at + mapping.length), options));
          return mapping.length;
        });
      }
    } catch (error) {
      pieces.fail(error);
    }
    await pieces.settled();
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

/** Bytes past the end of the child read as zeros: an image file may end before its last cluster does, a backing file before the overlay. */
function readOrZero(child: BlockChild, childOffset: number, into: Uint8Array, options: IoOptions | undefined): MaybePromise<void> {
  const present = Math.max(0, Math.min(into.length, child.size - childOffset));
  if (present === into.length) return child.read(childOffset, into, options);
  into.fill(0, present);
  return present === 0 ? undefined : child.read(childOffset, into.subarray(0, present), options);
}

async function decodeAfter(pending: MaybePromise<void>, decode: () => MaybePromise<void>): Promise<void> {
  await pending;
  await decode();
}

async function decodeUnit(mapping: Extract<Mapping, { kind: "encoded" }>, unit: Uint8Array): Promise<void> {
  const { child, childOffset, length } = mapping.stored;
  const stored = new Uint8Array(Math.max(0, Math.min(length, child.size - childOffset)));
  await child.read(childOffset, stored);
  await mapping.decode(stored, unit);
}
