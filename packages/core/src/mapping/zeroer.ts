/** Zero writes and discards of a mapped image: whole clusters by their mapping, the rest by writing zeros. */

import type { IoOptions, MappedImage, Wait, ZeroOptions } from "../driver.ts";
import { alignDown, alignUp } from "../binary/align.ts";
import { MAX_ZEROS, zeros } from "../binary/zeros.ts";
import { assert } from "../errors.ts";
import type { AddressLookup } from "./address-lookup.ts";
import type { GuestRange } from "./range-claims.ts";
import { WriteHold } from "./write-hold.ts";
import type { MappedWriter, WriterParts } from "./writer.ts";

/** Clusters that one claim covers at the most: a claim over terabytes would keep all writers out. */
const CLAIM_CLUSTERS = 8192;

type ChangeMapping = (state: unknown, offset: number, length: number) => Promise<number | Wait>;

export class MappedZeroer {
  readonly #parts: WriterParts;
  readonly #image: MappedImage;
  readonly #lookup: AddressLookup;
  readonly #writer: MappedWriter;

  constructor(parts: WriterParts, writer: MappedWriter) {
    this.#parts = parts;
    this.#image = parts.image;
    this.#lookup = parts.lookup;
    this.#writer = writer;
  }

  async writeZeroes(offset: number, length: number, options: ZeroOptions | undefined): Promise<void> {
    const end = offset + length;
    const unit = this.#image.clusterSize;
    const wholeStart = alignUp(offset, unit);
    const wholeEnd = end === this.#image.size ? alignUp(end, unit) : alignDown(end, unit);
    const { zero } = this.#image;
    if (zero === undefined) return this.#writeZeros(offset, length, options);
    const mayUnmap = options?.mayUnmap === true;
    const change: ChangeMapping = (state, at, bytes) => zero.call(this.#image, state, at, bytes, { mayUnmap });
    await this.#writer.prepare();
    if (wholeStart > wholeEnd) return this.#zeroPart({ start: offset, end }, change, options);
    if (offset < wholeStart) await this.#zeroPart({ start: offset, end: wholeStart }, change, options);
    await this.#changeWhole({ start: wholeStart, end: wholeEnd }, change, options, (at, bytes) =>
      this.#writeZeros(at, Math.min(bytes, end - at), options),
    );
    if (wholeEnd < end) await this.#zeroPart({ start: wholeEnd, end }, change, options);
  }

  /** Whole clusters alone; what the format cannot drop stays as it was. */
  async discard(offset: number, length: number, options: IoOptions | undefined): Promise<void> {
    const end = offset + length;
    const unit = this.#image.clusterSize;
    const whole = { start: alignUp(offset, unit), end: end === this.#image.size ? alignUp(end, unit) : alignDown(end, unit) };
    const { unmap } = this.#image;
    if (unmap === undefined || whole.start >= whole.end) return;
    await this.#writer.prepare();
    const change: ChangeMapping = (state, at, bytes) => unmap.call(this.#image, state, at, bytes, { reveal: false });
    await this.#changeWhole(whole, change, options, () => Promise.resolve());
  }

  /** Whole clusters alone, as `discard`; answers whether all of them are given up. */
  async reveal(offset: number, length: number): Promise<boolean> {
    const end = offset + length;
    const unit = this.#image.clusterSize;
    const { unmap } = this.#image;
    assert(unmap !== undefined && offset % unit === 0 && (end % unit === 0 || end === this.#image.size), "whole clusters are revealed");
    await this.#writer.prepare();
    const change: ChangeMapping = (state, at, bytes) => unmap.call(this.#image, state, at, bytes, { reveal: true });
    let complete = true;
    await this.#changeWhole({ start: offset, end: alignUp(end, unit) }, change, undefined, async () => {
      complete = false;
    });
    return complete;
  }

  /** Part of one cluster: where the rest of it reads as zeros too, the whole; else real zeros. */
  async #zeroPart(range: GuestRange, change: ChangeMapping, options: IoOptions | undefined): Promise<void> {
    const cluster = this.#writer.claimRange(range.start, range.end - range.start);
    const inside = { start: cluster.start, end: Math.min(cluster.end, this.#image.size) };
    const changed = await this.#underClaim(cluster, options, async () => {
      const restIsZero = (await this.#readsAsZero(inside.start, range.start)) && (await this.#readsAsZero(range.end, inside.end));
      return restIsZero ? this.#change(cluster, change) : 0;
    });
    if (changed === 0) await this.#writeZeros(range.start, range.end - range.start, options);
  }

  async #changeWhole(
    whole: GuestRange,
    change: ChangeMapping,
    options: IoOptions | undefined,
    otherwise: (offset: number, length: number) => Promise<void>,
  ): Promise<void> {
    const step = CLAIM_CLUSTERS * this.#image.clusterSize;
    for (let at = whole.start; at < whole.end;) {
      options?.signal?.throwIfAborted();
      const range = { start: at, end: Math.min(at + step, whole.end) };
      const changed = await this.#underClaim(range, options, () => this.#change(range, change));
      if (changed === 0) await otherwise(at, this.#image.clusterSize);
      at += changed === 0 ? this.#image.clusterSize : changed;
      await this.#parts.relieve();
    }
  }

  async #underClaim(range: GuestRange, options: IoOptions | undefined, section: () => Promise<number>): Promise<number> {
    using hold = new WriteHold(this.#parts.claims, this.#parts.slots);
    if (!hold.trySlot()) await hold.takeSlot(options);
    if (!hold.tryClaim(range, "exclusive")) await hold.takeClaim(range, "exclusive", options);
    return await section();
  }

  /** Bytes that the format changed; 0 where it cannot. */
  async #change(range: GuestRange, change: ChangeMapping): Promise<number> {
    for (;;) {
      const changed = await this.#changeLocked(range, change);
      if (typeof changed === "number") {
        assert(
          changed % this.#image.clusterSize === 0 && changed <= range.end - range.start,
          `${changed} bytes changed are not whole clusters of the range`,
        );
        return changed;
      }
      await changed.until;
    }
  }

  async #changeLocked(range: GuestRange, change: ChangeMapping): Promise<number | Wait> {
    using guard = await this.#image.state.lock({ who: `zero or unmap 0x${range.start.toString(16)}` });
    return await change(guard.value, range.start, range.end - range.start);
  }

  /** By status, through the backing chain. */
  async #readsAsZero(start: number, end: number): Promise<boolean> {
    const { backing } = this.#image;
    for (let at = start; at < end;) {
      const run = await this.#lookup.with(at, end - at, "status", undefined, ({ kind, length }) => ({ kind, length }));
      if (run.kind !== "zero" && run.kind !== "unallocated") return false;
      const shown = backing === undefined ? 0 : Math.max(0, Math.min(at + run.length, backing.size) - at);
      if (run.kind === "unallocated" && backing !== undefined && shown > 0 && !(await backing.readsAsZero(at, shown))) return false;
      at += run.length;
    }
    return true;
  }

  async #writeZeros(offset: number, length: number, options: IoOptions | undefined): Promise<void> {
    for (let done = 0; done < length; done += MAX_ZEROS) {
      await this.#writer.write(offset + done, zeros(Math.min(MAX_ZEROS, length - done)), options);
    }
  }
}
