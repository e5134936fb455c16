/** Writes of a mapped image: in place where the mapping allows it, else into new space that is linked when the data is there. */

import type { BlockChild } from "../child.ts";
import type { WaitOptions } from "../coroutine/held.ts";
import { touch } from "../coroutine/witness.ts";
import type { Allocation, AllocationRequest, IoOptions, MappedImage, Mapping, MaybePromise } from "../driver.ts";
import { assert, BlockError } from "../errors.ts";
import { alignDown, alignUp } from "../binary/align.ts";
import type { AddressLookup } from "./address-lookup.ts";
import type { AllocationSlots } from "./allocation-slots.ts";
import { type Payload, writeAllocated } from "./copy-on-write.ts";
import { PieceTasks } from "./piece-tasks.ts";
import type { GuestRange, RangeClaims } from "./range-claims.ts";
import type { MappedReader } from "./reader.ts";
import type { RetiredSpace } from "./retired-space.ts";
import { WriteHold } from "./write-hold.ts";

/** What the writer needs of the engine around it. */
export interface WriterParts {
  readonly image: MappedImage;
  readonly lookup: AddressLookup;
  readonly claims: RangeClaims;
  readonly slots: AllocationSlots;
  readonly retired: RetiredSpace;
  readonly reader: MappedReader;
  /** Who hears of data I/O; `undefined`: nobody. */
  readonly events: BlockChild | undefined;
  /** Data was written that a link is about to show. */
  readonly linking: () => void;
  /** Makes retired space free, if there is any; answers whether there was. */
  readonly reclaim: () => Promise<boolean>;
  /** Settles retired space where too much of it has gathered. */
  readonly relieve: () => MaybePromise<void>;
}

/** What one look at the mapping led to. */
type Step =
  | { readonly kind: "started"; readonly length: number; readonly pending: MaybePromise<void> }
  | { readonly kind: "allocate"; readonly length: number }
  | { readonly kind: "suspended"; readonly until: Promise<void> }
  | { readonly kind: "needs slot" }
  | { readonly kind: "needs claim"; readonly range: GuestRange; readonly mode: "shared" | "exclusive" };

export class MappedWriter {
  readonly #parts: WriterParts;
  readonly #image: MappedImage;
  #prepared = false;

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#image = parts.image;
  }

  write(offset: number, from: Uint8Array, options: IoOptions | undefined): MaybePromise<void> {
    touch(this, "read");
    if (this.#prepared) {
      const found = this.#parts.lookup.now(offset, from.length, "write");
      const whole = found?.kind === "data" && found.writable && found.length === from.length;
      if (whole && found.transform === undefined) {
        const range = this.claimRange(offset, from.length);
        if (!this.#parts.claims.conflicts(range, "shared")) {
          const suspended = this.#parts.events?.event("write_aio");
          return suspended === undefined ? this.#writeInPlace(found, from, range) : this.#writePieces(offset, from, options, suspended);
        }
      }
      if ((found?.kind === "unallocated" || found?.kind === "zero") && found.length === from.length) {
        const begun = this.#writeNew(found, offset, from);
        if (begun !== undefined) return begun.pending;
      }
    }
    return this.#writePieces(offset, from, options);
  }

  /** One unit of `length` bytes at `offset`, compressed to `stored`. */
  async writeStored(offset: number, length: number, stored: Uint8Array): Promise<void> {
    using hold = new WriteHold(this.#parts.claims, this.#parts.slots);
    await hold.takeSlot(undefined);
    await hold.takeClaim({ start: offset, end: offset + length }, "exclusive", undefined);
    const allocation = await this.allocate({ offset, length, storedLength: stored.length });
    await this.#finish(allocation, async () => {
      await this.#parts.events?.event("write_compressed");
      await allocation.child.write(allocation.childOffset, stored);
    });
    hold[Symbol.dispose]();
    await this.#parts.relieve();
  }

  /** Calls the format's `prepareWrite` once; a failed attempt is repeated by the next write. */
  async prepare(): Promise<void> {
    touch(this, "read");
    if (this.#prepared) return;
    using guard = await this.#image.state.lock({ who: "first write" });
    if (!this.#prepared) await this.#image.prepareWrite?.(guard.value);
    touch(this, "write");
    this.#prepared = true;
  }

  /** The whole clusters that [offset, offset + length) touches. */
  claimRange(offset: number, length: number): GuestRange {
    return { start: alignDown(offset, this.#image.clusterSize), end: alignUp(offset + length, this.#image.clusterSize) };
  }

  /** Asks the format for space that nobody is giving to the host; where it has none, frees what was retired and asks once more. */
  async allocate(request: AllocationRequest): Promise<Allocation> {
    const allocation = await this.#allocateOrReclaim(request);
    const { child, childOffset, length } = allocation;
    await this.#parts.retired.refill({ child, childOffset, length: request.storedLength ?? length });
    return allocation;
  }

  async #allocateOrReclaim(request: AllocationRequest): Promise<Allocation> {
    try {
      return await this.#allocateOnce(request);
    } catch (error) {
      if (!(error instanceof BlockError) || error.code !== "NO_SPACE" || !(await this.#parts.reclaim())) throw error;
      return this.#allocateOnce(request);
    }
  }

  #writeInPlace(mapping: Extract<Mapping, { kind: "data" }>, from: Uint8Array, range: GuestRange): MaybePromise<void> {
    const pending = mapping.child.write(mapping.childOffset, from);
    if (pending === undefined) return undefined;
    const claim = this.#parts.claims.tryTake(range, "shared");
    assert(claim !== undefined, "a claim that was free in this turn is free");
    return this.#until(pending, claim);
  }

  /** Into new space, in this turn as far as that goes; `undefined`: something has to be waited for before, and nothing was begun. */
  #writeNew(found: Mapping, offset: number, from: Uint8Array): { readonly pending: MaybePromise<void> } | undefined {
    const { claims, slots, relieve } = this.#parts;
    const range = this.claimRange(offset, from.length);
    if (!slots.free || claims.conflicts(range, "exclusive")) return undefined;
    const allocation = this.#allocateNow(this.#unitsOf(offset, from.length));
    if (allocation === undefined) return undefined;
    const payload = { offset, bytes: from.subarray(0, allocation.offset + allocation.length - offset) };
    const { child, childOffset } = allocation;
    const emptied = this.#parts.retired.refill({ child, childOffset, length: allocation.length });
    const write = (): MaybePromise<void> => this.#writePayload(found, allocation, payload);
    const pending = this.#finish(allocation, () => (emptied === undefined ? write() : emptied.then(write)));
    const { length } = payload.bytes;
    if (pending === undefined && length === from.length) return { pending: relieve() };
    const pieces = new PieceTasks();
    if (pending !== undefined) {
      const hold = new WriteHold(claims, slots);
      const held = hold.trySlot() && hold.tryClaim(this.claimRange(allocation.offset, allocation.length), "exclusive");
      assert(held, "a slot and a claim that were free in this turn are free");
      pieces.follow(release(hold, pending));
    }
    if (length < from.length) pieces.follow(this.#writePieces(offset + length, from.subarray(length), undefined));
    return { pending: pieces.settled().then(relieve) };
  }

  /** One write, where all that the allocation has beside the payload is to read as zeros, and does. */
  #writePayload(found: Mapping, allocation: Allocation, payload: Payload): MaybePromise<void> {
    const { image } = this.#parts;
    const { offset, bytes } = payload;
    const units = this.#unitsOf(offset, bytes.length);
    const isUnits = allocation.offset === units.offset && allocation.length === units.length;
    const showsZeros = found.kind === "zero" || image.backing === undefined || units.offset >= image.backing.size;
    const alone = units.length === bytes.length || (allocation.readsZero && showsZeros);
    if (!isUnits || !alone || allocation.transform !== undefined) return this.#writeAllocated(allocation, payload);
    return allocation.child.write(allocation.childOffset + (offset - allocation.offset), bytes);
  }

  async #until(pending: Promise<void>, claim: Disposable): Promise<void> {
    using _claim = claim;
    using _io = this.#parts.retired.beginIo();
    await pending;
  }

  /** `suspended`: the first piece stands where it was announced. */
  async #writePieces(offset: number, from: Uint8Array, options: IoOptions | undefined, suspended?: Promise<void>): Promise<void> {
    let announced = suspended !== undefined;
    if (announced) await suspended;
    await this.prepare();
    const pieces = new PieceTasks();
    try {
      for (let done = 0; done < from.length && !pieces.failed;) {
        options?.signal?.throwIfAborted();
        await pieces.room();
        done += await this.#startPiece(offset + done, from.subarray(done), pieces, options, announced);
        announced = false;
      }
    } catch (error) {
      pieces.fail(error);
    }
    await pieces.settled();
    await this.#parts.relieve();
  }

  /** Starts the piece at `offset` as a task of its own, which holds one claim; answers its length. `told`: its write was announced. */
  async #startPiece(
    offset: number,
    from: Uint8Array,
    pieces: PieceTasks,
    options: WaitOptions | undefined,
    told: boolean,
  ): Promise<number> {
    const hold = new WriteHold(this.#parts.claims, this.#parts.slots);
    try {
      for (let announced = told; ;) {
        const step = await this.#parts.lookup.with(offset, from.length, "write", options, (mapping) =>
          this.#decide(mapping, offset, from, hold, announced),
        );
        if (step.kind === "needs slot") await hold.takeSlot(options);
        else if (step.kind === "needs claim") await hold.takeClaim(step.range, step.mode, options);
        else if (step.kind === "suspended") {
          // What was looked up is stale afterwards, so nothing is held meanwhile.
          hold[Symbol.dispose]();
          await step.until;
          options?.signal?.throwIfAborted();
          announced = true;
        } else if (step.kind === "allocate") return await this.#startAllocating(offset, from.subarray(0, step.length), hold, pieces);
        else {
          const { pending, length } = step;
          if (pending === undefined) hold[Symbol.dispose]();
          else pieces.follow(this.#until(pending, hold));
          return length;
        }
      }
    } catch (error) {
      hold[Symbol.dispose]();
      throw error;
    }
  }

  /** In the turn of the lookup: takes what is needed, and starts the data I/O of an in-place write. */
  #decide(mapping: Mapping, offset: number, from: Uint8Array, hold: WriteHold, announced: boolean): Step {
    const length = mapping.length;
    const range = this.claimRange(offset, length);
    if (mapping.kind === "data" && mapping.writable) {
      if (!hold.tryClaim(range, "shared")) return { kind: "needs claim", range, mode: "shared" };
      const until = announced ? undefined : this.#parts.events?.event("write_aio");
      if (until !== undefined) return { kind: "suspended", until };
      hold.releaseSlot();
      return { kind: "started", length, pending: this.#writeData(mapping, offset, from.subarray(0, length)) };
    }
    if (!hold.trySlot()) return { kind: "needs slot" };
    if (!hold.tryClaim(range, "exclusive")) return { kind: "needs claim", range, mode: "exclusive" };
    return { kind: "allocate", length };
  }

  #writeData(mapping: Extract<Mapping, { kind: "data" }>, offset: number, from: Uint8Array): MaybePromise<void> {
    const { child, childOffset, transform } = mapping;
    if (transform === undefined) return child.write(childOffset, from);
    const encoded = new Uint8Array(from.length);
    const pending = transform.encode({ guestOffset: offset, childOffset }, from, encoded);
    return pending === undefined ? child.write(childOffset, encoded) : pending.then(() => child.write(childOffset, encoded));
  }

  /** Under an exclusive claim; no signal is looked at from here on. */
  async #startAllocating(offset: number, from: Uint8Array, hold: WriteHold, pieces: PieceTasks): Promise<number> {
    const allocation = await this.allocate(this.#unitsOf(offset, from.length));
    const end = allocation.offset + allocation.length;
    assert(allocation.offset <= offset && end > offset, "an allocation starts with what was asked for");
    const length = Math.min(end - offset, from.length);
    hold.shrinkClaim(this.claimRange(allocation.offset, allocation.length));
    pieces.start(async () => {
      using _hold = hold;
      await this.#finish(allocation, () => this.#writeAllocated(allocation, { offset, bytes: from.subarray(0, length) }));
    });
    return length;
  }

  /** The whole (sub)clusters that [offset, offset + length) touches. */
  #unitsOf(offset: number, length: number): AllocationRequest {
    const unit = this.#image.subclusterSize ?? this.#image.clusterSize;
    const start = alignDown(offset, unit);
    return { offset: start, length: alignUp(offset + length, unit) - start };
  }

  #writeAllocated(allocation: Allocation, payload: Payload): Promise<void> {
    const { reader, lookup, events } = this.#parts;
    const parts = { image: this.#image, reader, lookup, events };
    return writeAllocated(parts, allocation, payload);
  }

  /** Writes the data, then links; where the data fails, the space goes back. Done in this turn where nothing has to be waited for. */
  #finish(allocation: Allocation, writeData: () => MaybePromise<void>): MaybePromise<void> {
    const pending = started(writeData);
    return pending === undefined ? this.#link(allocation) : this.#linkAfter(pending, allocation);
  }

  async #linkAfter(pending: Promise<void>, allocation: Allocation): Promise<void> {
    try {
      await pending;
    } catch (error) {
      await this.#abandon(allocation, error);
      throw error;
    }
    await this.#link(allocation);
  }

  #link(allocation: Allocation): MaybePromise<void> {
    const { image, events } = this.#parts;
    this.#parts.linking();
    if (events === undefined && image.linkNow !== undefined) {
      const linked = image.state.runSync<boolean>((state) => image.linkNow?.(state, allocation) === true);
      if (linked?.value === true) return undefined;
    }
    return this.#linkLater(allocation);
  }

  async #linkLater(allocation: Allocation): Promise<void> {
    const { image } = this.#parts;
    assert(image.link !== undefined, "a format that allocates also links");
    using guard = await image.state.lock({ who: `link 0x${allocation.offset.toString(16)}+${allocation.length}` });
    await image.link(guard.value, allocation);
  }

  async #abandon(allocation: Allocation, cause: unknown): Promise<void> {
    try {
      using guard = await this.#image.state.lock({ who: "abandon" });
      await this.#image.abandon?.(guard.value, allocation);
    } catch (error) {
      throw new AggregateError([cause, error], `a write failed, and so did giving back its space: ${String(cause)}; ${String(error)}`, {
        cause: error,
      });
    }
  }

  async #allocateOnce(request: AllocationRequest): Promise<Allocation> {
    const { image } = this.#parts;
    if (image.allocate === undefined) throw new BlockError("UNSUPPORTED_FEATURE", "the format cannot allocate", { offset: request.offset });
    const now = request.storedLength === undefined ? this.#allocateNow(request) : undefined;
    if (now !== undefined) return now;
    for (;;) {
      const found = await this.#allocateLocked(request);
      if (!("kind" in found)) return found;
      await found.until;
    }
  }

  #allocateNow(request: AllocationRequest): Allocation | undefined {
    const { image, events } = this.#parts;
    if (events !== undefined || image.allocateNow === undefined) return undefined;
    return image.state.runSync<{ readonly found: Allocation | undefined }>((state) => ({ found: image.allocateNow?.(state, request) }))
      ?.value.found;
  }

  async #allocateLocked(request: AllocationRequest): ReturnType<NonNullable<MappedImage["allocate"]>> {
    using guard = await this.#image.state.lock({ who: `allocate 0x${request.offset.toString(16)}+${request.length}` });
    assert(this.#image.allocate !== undefined, "checked before");
    return await this.#image.allocate(guard.value, request);
  }
}

/** Begins it; what it throws at once is a rejection. */
function started(work: () => MaybePromise<void>): MaybePromise<void> {
  try {
    return work();
  } catch (error) {
    return Promise.reject(error);
  }
}

async function release(hold: Disposable, pending: Promise<void>): Promise<void> {
  using _hold = hold;
  await pending;
}
