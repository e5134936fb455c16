/** The mapping engine: turns a format that translates addresses into an image that is read, written, zeroed and flushed. */

import type { BlockChild } from "../child.ts";
import { touch } from "../coroutine/witness.ts";
import { assert } from "../errors.ts";
import type {
  BlockImage,
  HostSpan,
  ImageInfo,
  ImageLimits,
  IoOptions,
  MappedImage,
  Mapping,
  MaybePromise,
  NamedFile,
  ResizeOptions,
  RunStatus,
  ZeroOptions,
} from "../driver.ts";
import type { CheckOptions, CheckResult, Finding } from "../checking.ts";
import type { AmendOptions, CreateValue } from "../creation.ts";
import type { ImageBitmaps } from "../bitmap/image-bitmaps.ts";
import { Failures } from "../failures.ts";
import type { PreparedReopen } from "../reopen.ts";
import type { ImageSnapshots } from "../snapshots.ts";
import type { ImageVmState } from "../vm-state.ts";
import { AddressLookup } from "./address-lookup.ts";
import { HolesBelow } from "./holes-below.ts";
import type { AllocationSlots } from "./allocation-slots.ts";
import type { ImageServices } from "./image-services.ts";
import { CompressedWriter } from "./compressed-writer.ts";
import { PieceTasks } from "./piece-tasks.ts";
import { RangeClaims } from "./range-claims.ts";
import { MappedReader } from "./reader.ts";
import type { RetiredSpace, SettledSpan } from "./retired-space.ts";
import { MappedWriter, type WriterParts } from "./writer.ts";
import { MappedZeroer } from "./zeroer.ts";

/** Retired bytes above which requests settle them before they answer. */
const MAX_RETIRED_BYTES = 64 * 1024 * 1024;

export class MappingEngine implements BlockImage {
  readonly #image: MappedImage;
  readonly #services: ImageServices;
  readonly #claims = new RangeClaims();
  readonly #slots: AllocationSlots;
  readonly #retired: RetiredSpace;
  readonly #lookup: AddressLookup;
  readonly #holesBelow: HolesBelow;
  readonly #reader: MappedReader;
  readonly #writer: MappedWriter;
  readonly #compressor: CompressedWriter;
  readonly #zeroer: MappedZeroer;
  readonly #readOnly: boolean;
  /** Who hears of data I/O and flushes; `undefined`: nobody. */
  readonly #events: BlockChild | undefined;
  /** What could not be written may be lost although a second flush succeeds: the first failure stays. */
  #flushFailure: { readonly error: unknown } | undefined;
  readonly limits: ImageLimits;
  /** Present where the format has them. */
  readonly reopen?: (options: object) => Promise<PreparedReopen>;
  readonly resize?: (size: number, options: ResizeOptions) => Promise<void>;
  readonly snapshots?: ImageSnapshots;
  readonly vmState?: ImageVmState;
  readonly bitmaps?: ImageBitmaps;
  readonly check?: (options: CheckOptions, report: (finding: Finding) => void) => Promise<CheckResult>;
  readonly amend?: (values: Readonly<Record<string, CreateValue>>, options: AmendOptions) => Promise<void>;
  readonly changeBacking?: (named: NamedFile | undefined, child: BlockChild | undefined) => Promise<void>;
  readonly reveal?: (offset: number, length: number) => Promise<boolean>;

  constructor(image: MappedImage, services: ImageServices, readOnly: boolean) {
    this.#image = image;
    this.#services = services;
    this.#readOnly = readOnly;
    this.#slots = services.slots;
    this.#slots.limit = image.maxAllocations ?? Number.POSITIVE_INFINITY;
    this.#retired = services.retired;
    this.#lookup = new AddressLookup(image);
    this.#holesBelow = new HolesBelow(image);
    const [firstChild] = image.storage;
    this.#events = firstChild?.listens === true ? firstChild : undefined;
    this.#reader = new MappedReader(image, this.#lookup, this.#retired, this.#events);
    const parts: WriterParts = {
      image,
      lookup: this.#lookup,
      claims: this.#claims,
      slots: this.#slots,
      retired: this.#retired,
      reader: this.#reader,
      events: this.#events,
      linking: () => services.linking(),
      reclaim: () => this.#reclaim(),
      relieve: () => (this.#retired.bytes > MAX_RETIRED_BYTES ? this.flush() : undefined),
    };
    this.#writer = new MappedWriter(parts);
    this.#compressor = new CompressedWriter(image, this.#writer);
    this.#zeroer = new MappedZeroer(parts, this.#writer);
    this.limits = { ...image.limits, zeroAlignment: image.clusterSize };
    services.attach(image.storage);
    if (image.resize !== undefined) this.resize = (size, options) => this.#resize(size, options);
    if (image.snapshots !== undefined) this.snapshots = this.#settledBefore(image.snapshots);
    if (image.vmState !== undefined) this.vmState = this.#preparedFor(image.vmState);
    if (image.bitmaps !== undefined) this.bitmaps = this.#settledBeforeBitmaps(image.bitmaps);
    if (image.reopen !== undefined) this.reopen = (options) => this.#reopen(options);
    if (image.check !== undefined) this.check = (options, report) => this.#check(options, report);
    if (image.amend !== undefined) this.amend = (values, options) => this.#amend(values, options);
    if (image.changeBacking !== undefined) this.changeBacking = (named, child) => this.#changeBacking(named, child);
    if (image.unmap !== undefined) this.reveal = (offset, length) => this.#zeroer.reveal(offset, length);
  }

  get size(): number {
    return this.#image.size;
  }

  get compressionUnit(): number | undefined {
    return this.#image.compressionUnit;
  }

  read(offset: number, into: Uint8Array, options?: IoOptions): MaybePromise<void> {
    return this.#reader.read(offset, into, options);
  }

  write(offset: number, from: Uint8Array, options?: IoOptions): MaybePromise<void> {
    return this.#writer.write(offset, from, options);
  }

  writeCompressed(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    return this.#compressor.write(offset, from, options);
  }

  writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    return this.#zeroer.writeZeroes(offset, length, options);
  }

  discard(offset: number, length: number, options?: IoOptions): Promise<void> {
    return this.#zeroer.discard(offset, length, options);
  }

  status(offset: number, length: number): MaybePromise<RunStatus> {
    return this.#holesBelow.refine(this.#lookup.with(offset, length, "status", undefined, describe));
  }

  async flush(): Promise<void> {
    await this.#flushAndSettle();
  }

  async quiesce(): Promise<AsyncDisposable> {
    return (await this.#image.quiesce?.()) ?? { [Symbol.asyncDispose]: () => Promise.resolve() };
  }

  info(): MaybePromise<ImageInfo> {
    return this.#image.info?.() ?? {};
  }

  inspect(): object {
    const { bytes } = this.#retired;
    return { claims: this.#claims.inspect(), allocations: this.#slots.inspect(), retiredBytes: bytes, ...this.#image.inspect?.() };
  }

  /** No request is in flight: what the last flush freed goes out too, then the image closes. A damaged image is not written. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures = new Failures();
    if (!this.#readOnly && this.#services.failure === undefined) {
      await failures.attempt(async () => {
        while ((await this.#flushAndSettle()) > 0);
        if (this.#image.bitmaps === undefined) return;
        await this.#image.bitmaps.store();
        while ((await this.#flushAndSettle()) > 0);
      });
    }
    await failures.attempt(() => this.#image[Symbol.asyncDispose]());
    failures.throwFirst();
  }

  /** Caches out under the lock, then the children without it, then retired space becomes free; answers how many spans did. */
  async #flushAndSettle(): Promise<number> {
    touch(this, "read");
    if (this.#services.failure !== undefined) throw this.#services.failure;
    if (this.#flushFailure !== undefined) throw this.#flushFailure.error;
    try {
      if (this.#events !== undefined) await this.#events.event("flush_to_os");
      const covered = await this.#sync();
      if (this.#events !== undefined) await this.#events.event("flush_to_disk");
      await this.#services.flushStorage();
      this.#services.flushedLinks(covered.links);
      this.#retired.flushed(covered.retired);
    } catch (error) {
      touch(this, "write");
      this.#flushFailure ??= { error };
      throw error;
    }
    return this.#settle();
  }

  async #sync(): Promise<{ readonly links: number; readonly retired: number }> {
    using guard = await this.#image.state.lock({ who: "flush" });
    const covered = { links: this.#services.links, retired: this.#retired.startFlush() };
    await this.#image.sync?.(guard.value);
    return covered;
  }

  /** Decoded copies, then the host's space, then the refcount: only then may a span be allocated again. */
  async #settle(): Promise<number> {
    const settled = this.#retired.takeSettled();
    const spans = settled.filter(({ kept }) => !kept).map(({ span }) => span);
    if (settled.length === 0) return 0;
    for (const span of spans) this.#reader.forget(span);
    await this.#giveToHost(settled);
    if (spans.length === 0 || this.#image.release === undefined) return settled.length;
    using guard = await this.#image.state.lock({ who: "settle" });
    await this.#image.release(guard.value, spans);
    return settled.length;
  }

  async #giveToHost(settled: readonly SettledSpan[]): Promise<void> {
    using _emptying = this.#retired.emptying(settled.filter(({ kept }) => kept).map(({ span }) => span));
    await discardAll(settled.filter(({ discard }) => discard).map(({ span }) => span));
  }

  /** In exclusive mode: everything is out before, so that the format sees its file as it is. */
  async #resize(size: number, options: ResizeOptions): Promise<void> {
    const before = this.#image.size;
    await this.#settleBeforeChange();
    await this.#image.resize?.(size, options);
    if (this.#image.size >= before) return;
    while ((await this.#flushAndSettle()) > 0);
    await this.#image.trim?.();
  }

  /** In exclusive mode, as resize is. */
  async #amend(values: Readonly<Record<string, CreateValue>>, options: AmendOptions): Promise<void> {
    await this.#settleBeforeChange();
    await this.#image.amend?.(values, options);
  }

  /** In exclusive mode, as resize is. */
  #settledBefore(snapshots: ImageSnapshots): ImageSnapshots {
    const settled = async <T>(change: () => Promise<T>): Promise<T> => {
      await this.#settleBeforeChange();
      return change();
    };
    return {
      list: () => snapshots.list(),
      create: (name, machine) => settled(() => snapshots.create(name, machine)),
      apply: (selector) => settled(() => snapshots.apply(selector)),
      delete: (selector) => settled(() => snapshots.delete(selector)),
    };
  }

  #preparedFor(vmState: ImageVmState): ImageVmState {
    const usable = <T>(use: () => Promise<T>): Promise<T> => {
      if (this.#services.failure !== undefined) throw this.#services.failure;
      return use();
    };
    return {
      read: async (position, into) => usable(() => vmState.read(position, into)),
      write: async (position, from) => {
        await usable(() => this.#writer.prepare());
        return vmState.write(position, from);
      },
    };
  }

  #settledBeforeBitmaps(bitmaps: ImageBitmaps): ImageBitmaps {
    const settled = async (change: () => Promise<void>): Promise<void> => {
      await this.#settleBeforeChange();
      return change();
    };
    return {
      canKeep: bitmaps.canKeep,
      load: () => bitmaps.load(),
      add: (bitmap) => settled(() => bitmaps.add(bitmap)),
      change: (bitmap) => settled(() => bitmaps.change(bitmap)),
      remove: (bitmap) => settled(() => bitmaps.remove(bitmap)),
      checkResize: (size) => bitmaps.checkResize(size),
      store: () => settled(() => bitmaps.store()),
    };
  }

  async #settleBeforeChange(): Promise<void> {
    await this.#writer.prepare();
    await this.#flushAndSettle();
  }

  async #reopen(options: object): Promise<PreparedReopen> {
    if (!this.#readOnly) await this.#flushAndSettle();
    assert(this.#image.reopen !== undefined, "set only where the image has it");
    return this.#image.reopen(options);
  }

  async #changeBacking(named: NamedFile | undefined, child: BlockChild | undefined): Promise<void> {
    await this.#writer.prepare();
    await this.#flushAndSettle();
    await this.#image.changeBacking?.(named, child);
  }

  async #check(options: CheckOptions, report: (finding: Finding) => void): Promise<CheckResult> {
    if (!this.#readOnly) await this.#flushAndSettle();
    assert(this.#image.check !== undefined, "set only where the image has it");
    return this.#image.check(options, report);
  }

  async #reclaim(): Promise<boolean> {
    if (this.#retired.bytes === 0) return false;
    await this.flush();
    return true;
  }
}

function describe(mapping: Mapping): RunStatus {
  const { length } = mapping;
  switch (mapping.kind) {
    case "data":
      if (mapping.transform !== undefined) return { kind: "data", length };
      return { kind: "data", length, location: { child: mapping.child, childOffset: mapping.childOffset, length } };
    case "zero":
    case "unallocated":
      return { kind: mapping.kind, length, ...(mapping.reserved === undefined ? {} : { location: { ...mapping.reserved, length } }) };
    case "encoded":
      return { kind: "compressed", length };
  }
}

/** Giving space back to the host is a favour to it: a host that refuses keeps it, and the image stays right. */
async function discardAll(spans: readonly HostSpan[]): Promise<void> {
  const pieces = new PieceTasks();
  for (const { child, childOffset, length } of spans) {
    const inside = Math.min(length, child.size - childOffset);
    await pieces.room();
    if (inside > 0) pieces.start(() => child.discard(childOffset, inside));
  }
  await pieces.ended();
}
