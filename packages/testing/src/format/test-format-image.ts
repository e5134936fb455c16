/** An open image of the test format: sector bitmaps, compression and two data files, behind a write-back cache of pages. */

import { deflateRawSync, inflateRawSync } from "node:zlib";
import {
  type Allocation,
  type AllocationRequest,
  type BlockChild,
  BlockError,
  type CheckOptions,
  type CheckResult,
  CoMutex,
  type Finding,
  Guarded,
  type HostSpan,
  type ImageInfo,
  type ImageLimits,
  type Intent,
  type MappedImage,
  type Mapping,
  type OpenContext,
  type ResizeOptions,
  TableCache,
  type Wait,
} from "@coblock/core";
import { type ClusterPart, describeSectors, entryOf, isUnallocated, pageOffset, setEntry, unallocatedRun } from "./cluster-map.ts";
import {
  encodeHeader,
  encodePage,
  ENTRIES_PER_PAGE,
  type Entry,
  type Header,
  type Page,
  PAGE_SIZE,
  parsePage,
  SECTOR_SIZE,
  sectorBits,
  withoutSectors,
  withSectors,
} from "./layout.ts";
import { Slots } from "./slots.ts";

export interface TestFormatParts {
  readonly header: Header;
  readonly file: BlockChild;
  readonly even: BlockChild;
  readonly odd: BlockChild;
  readonly backing: BlockChild | undefined;
  readonly context: OpenContext;
  /** Never write a cluster in place: every write moves it to a new slot. */
  readonly copyOnWrite: boolean;
  readonly maxAllocations: number | undefined;
  /** Pages in memory, at least 1. */
  readonly cachePages: number;
}

interface State {
  header: Header;
  readonly pages: TableCache<Page>;
  readonly even: Slots;
  readonly odd: Slots;
}

/** What `allocate` tells `link` and `abandon`. */
interface Ticket {
  readonly clusterIndex: number;
  readonly slot: number;
  /** The slot was taken for this allocation. */
  readonly fresh: boolean;
  readonly sectors: number;
  readonly storedLength: number;
}

export class TestFormatImage implements MappedImage<State, Ticket> {
  readonly state: Guarded<State>;
  readonly storage: readonly BlockChild[];
  readonly clusterSize: number;
  readonly subclusterSize: number = SECTOR_SIZE;
  readonly compressionUnit: number;
  readonly limits: ImageLimits;
  readonly backing: BlockChild | undefined;
  readonly maxAllocations?: number;
  readonly #parts: TestFormatParts;
  readonly #allSectors: number;
  #header: Header;
  #marked = false;

  constructor(parts: TestFormatParts) {
    const { file, even, odd, header, context } = parts;
    this.#parts = parts;
    this.#header = header;
    this.clusterSize = header.clusterSize;
    this.compressionUnit = header.clusterSize;
    this.#allSectors = sectorBits(0, header.clusterSize / SECTOR_SIZE);
    this.limits = { requestAlignment: 1, discardAlignment: header.clusterSize };
    this.backing = parts.backing;
    this.storage = [file, even, odd];
    if (parts.maxAllocations !== undefined) this.maxAllocations = parts.maxAllocations;
    const lock = new CoMutex(`${context.nodeName} driver`, context.clock);
    const pages: TableCache<Page> = new TableCache<Page>({
      name: `${context.nodeName} pages`,
      lock,
      capacity: parts.cachePages,
      load: (offset) => this.#readPage(offset),
      writeBack: () => this.#writePages(pages),
    });
    this.state = new Guarded(lock, { header, pages, even: new Slots(even, header.clusterSize), odd: new Slots(odd, header.clusterSize) });
  }

  get size(): number {
    return this.#header.size;
  }

  /** Finds the slots in use, page by page. Throws CORRUPT_IMAGE where two clusters share one. */
  async scan(): Promise<void> {
    using guard = await this.state.lock({ who: "open" });
    for (let clusterIndex = 0; clusterIndex * this.clusterSize < this.size; clusterIndex += ENTRIES_PER_PAGE) {
      for (const [index, entry] of (await this.#readPage(pageOffset(clusterIndex))).entries()) {
        if (entry.slot === undefined || this.#slots(guard.value, clusterIndex + index).use(entry.slot)) continue;
        throw new BlockError("CORRUPT_IMAGE", `${this.#parts.file.fileName}: two clusters have slot ${entry.slot}`, {
          offset: pageOffset(clusterIndex),
        });
      }
    }
  }

  lookup(state: State, offset: number, length: number, intent: Intent): Mapping | Wait {
    const clusterIndex = Math.floor(offset / this.clusterSize);
    const page = state.pages.get(pageOffset(clusterIndex), intent);
    if (page.kind === "wait") return page;
    const entry = entryOf(page.table, clusterIndex);
    if (isUnallocated(entry))
      return this.#throughLimit(offset, { kind: "unallocated", length: unallocatedRun(page.table, this.clusterSize, offset, length) });
    const { child } = this.#slots(state, clusterIndex);
    const inCluster = Math.min(length, (clusterIndex + 1) * this.clusterSize - offset);
    const part: ClusterPart = { entry, child, clusterSize: this.clusterSize, offset, length: inCluster };
    return entry.storedLength > 0 ? this.#encoded(part) : this.#throughLimit(offset, describeSectors(part, !this.#parts.copyOnWrite));
  }

  /** The mark is on disk before anything else changes. */
  async prepareWrite(state: State): Promise<void> {
    await this.#writeHeader(state, { ...state.header, dirty: true });
    this.#marked = true;
  }

  async allocate(state: State, { offset, length, storedLength = 0 }: AllocationRequest): Promise<Allocation<Ticket> | Wait> {
    const clusterIndex = Math.floor(offset / this.clusterSize);
    const page = state.pages.get(pageOffset(clusterIndex), "write");
    if (page.kind === "wait") return page;
    const { slot, data, storedLength: storedBefore } = entryOf(page.table, clusterIndex);
    const whole = { offset: clusterIndex * this.clusterSize, length: this.clusterSize };
    if (storedLength > 0) return this.#allocation(state, clusterIndex, undefined, whole, storedLength);
    if (slot !== undefined && storedBefore === 0 && !this.#parts.copyOnWrite)
      return this.#allocation(state, clusterIndex, slot, prefix(whole, offset, length), 0);
    // What the old slot holds and the request does not bring moves along: the whole cluster.
    const moves = data !== 0 || storedBefore > 0;
    return this.#allocation(state, clusterIndex, undefined, moves ? whole : prefix(whole, offset, length), 0);
  }

  async link(state: State, allocation: Allocation<Ticket>): Promise<void> {
    const { clusterIndex, slot, fresh, sectors, storedLength } = allocation.ticket;
    try {
      const page = await state.pages.fetch(pageOffset(clusterIndex));
      const old = entryOf(page.table, clusterIndex);
      if (fresh) this.#retireSlot(state, clusterIndex, old);
      const data = withSectors(old.data, sectors);
      setEntry(page.table, clusterIndex, { slot, data, zero: withoutSectors(old.zero, sectors), storedLength });
      state.pages.markDirty(page);
    } catch (error) {
      await this.abandon(state, allocation);
      throw error;
    }
  }

  async abandon(state: State, { ticket }: Allocation<Ticket>): Promise<void> {
    if (ticket.fresh) this.#slots(state, ticket.clusterIndex).free(ticket.slot);
  }

  zero(state: State, offset: number, length: number, { mayUnmap }: { readonly mayUnmap: boolean }): Promise<number | Wait> {
    return this.#change(state, offset, length, ({ slot, storedLength }) => {
      const kept = mayUnmap || storedLength > 0 || this.#parts.copyOnWrite ? undefined : slot;
      return { slot: kept, data: 0, zero: this.#allSectors, storedLength: 0 };
    });
  }

  unmap(state: State, offset: number, length: number, { reveal }: { readonly reveal: boolean }): Promise<number | Wait> {
    const zero = reveal || this.backing === undefined ? 0 : this.#allSectors;
    return this.#change(state, offset, length, () => ({ slot: undefined, data: 0, zero, storedLength: 0 }));
  }

  async release(state: State, spans: readonly HostSpan[]): Promise<void> {
    for (const { child, childOffset } of spans) {
      const slots = child === state.even.child ? state.even : state.odd;
      slots.free(slots.slotAt(childOffset));
    }
  }

  sync(state: State): Promise<void> {
    return this.#writePages(state.pages);
  }

  async encode(unit: Uint8Array): Promise<Uint8Array | undefined> {
    const stored = await this.#parts.context.offload.run("deflate", () => deflateRawSync(unit));
    return stored.length < unit.length ? stored : undefined;
  }

  /** Only grows. The new bytes read as zeros, whatever a backing file has there. */
  async resize(size: number, _options: ResizeOptions): Promise<void> {
    const { fileName } = this.#parts.file;
    if (size < this.size) throw new BlockError("UNSUPPORTED_FEATURE", `${fileName}: the test format does not shrink`);
    if (size % SECTOR_SIZE !== 0) throw new BlockError("INVALID_OPTION", `${fileName}: ${size} bytes are not whole sectors`);
    using guard = await this.state.lock({ who: "resize" });
    const { header } = guard.value;
    await this.#writeHeader(guard.value, { ...header, size, backingLimit: Math.min(header.backingLimit, header.size) });
  }

  async check(_options: CheckOptions, report: (finding: Finding) => void): Promise<CheckResult> {
    using _guard = await this.state.lock({ who: "check" });
    const owners = new Set<string>();
    let corruptions = 0;
    for (let clusterIndex = 0; clusterIndex * this.clusterSize < this.size; clusterIndex++) {
      const entry = entryOf(await this.#readPage(pageOffset(clusterIndex)), clusterIndex);
      const owner = `${clusterIndex % 2} ${entry.slot}`;
      const sane =
        entry.storedLength < this.clusterSize &&
        withoutSectors(entry.data, entry.zero) === entry.data &&
        (entry.slot !== undefined || entry.data === 0);
      if (sane && !(entry.slot !== undefined && owners.has(owner))) {
        owners.add(owner);
        continue;
      }
      corruptions++;
      report(finding(clusterIndex));
    }
    return { errors: 0, corruptions, leaks: 0, corruptionsFixed: 0, leaksFixed: 0 };
  }

  info(): ImageInfo {
    return { clusterSize: this.clusterSize, dirty: this.#header.dirty };
  }

  /** The mark goes when all else is on disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#marked) return;
    using guard = await this.state.lock({ who: "close" });
    if (guard.value.pages.dirtyEntries().length > 0) return;
    for (const child of this.storage) await child.flush();
    await this.#writeHeader(guard.value, { ...guard.value.header, dirty: false });
    this.#marked = false;
  }

  #slots(state: State, clusterIndex: number): Slots {
    return clusterIndex % 2 === 0 ? state.even : state.odd;
  }

  #allocation(
    state: State,
    clusterIndex: number,
    kept: number | undefined,
    range: { readonly offset: number; readonly length: number },
    storedLength: number,
  ): Allocation<Ticket> {
    const slots = this.#slots(state, clusterIndex);
    const slot = kept ?? slots.take();
    const within = range.offset % this.clusterSize;
    const sectors = sectorBits(within / SECTOR_SIZE, range.length / SECTOR_SIZE);
    return {
      ...range,
      child: slots.child,
      childOffset: slots.offsetOf(slot) + within,
      readsZero: slots.offsetOf(slot) >= slots.child.size,
      ticket: { clusterIndex, slot, fresh: kept === undefined, sectors, storedLength },
    };
  }

  #retireSlot(state: State, clusterIndex: number, { slot }: Entry): void {
    if (slot === undefined) return;
    const { child } = this.#slots(state, clusterIndex);
    this.#parts.context.retire({ child, childOffset: slot * this.clusterSize, length: this.clusterSize });
  }

  /** One page's worth of whole clusters. */
  async #change(state: State, offset: number, length: number, change: (entry: Entry) => Entry): Promise<number | Wait> {
    const first = offset / this.clusterSize;
    const page = state.pages.get(pageOffset(first), "write");
    if (page.kind === "wait") return page;
    const end = Math.min(first + length / this.clusterSize, (Math.floor(first / ENTRIES_PER_PAGE) + 1) * ENTRIES_PER_PAGE);
    for (let clusterIndex = first; clusterIndex < end; clusterIndex++) {
      const old = entryOf(page.table, clusterIndex);
      const entry = change(old);
      if (entry.slot !== old.slot) this.#retireSlot(state, clusterIndex, old);
      setEntry(page.table, clusterIndex, entry);
    }
    state.pages.markDirty(page);
    return (end - first) * this.clusterSize;
  }

  #encoded({ entry, child, offset, length }: ClusterPart): Mapping {
    const childOffset = (entry.slot ?? 0) * this.clusterSize;
    const { context } = this.#parts;
    return {
      kind: "encoded",
      length,
      stored: { child, childOffset, length: entry.storedLength },
      unitLength: this.clusterSize,
      skip: offset % this.clusterSize,
      decode: (stored, unit) =>
        context.offload.run("inflate", () => {
          const bytes = inflateRawSync(stored, { maxOutputLength: unit.length });
          if (bytes.length !== unit.length)
            throw new BlockError("CORRUPT_IMAGE", `${child.fileName}: ${bytes.length} bytes come out of a cluster`, {
              offset: childOffset,
            });
          unit.set(bytes);
        }),
    };
  }

  /** Beyond the size that the image was made with, a backing file does not show. */
  #throughLimit(offset: number, mapping: Mapping): Mapping {
    if (mapping.kind !== "unallocated") return mapping;
    const shown = this.#header.backingLimit - offset;
    return shown <= 0 ? { kind: "zero", length: mapping.length } : { kind: "unallocated", length: Math.min(mapping.length, shown) };
  }

  async #writeHeader(state: State, header: Header): Promise<void> {
    const { file } = this.#parts;
    await file.write(0, encodeHeader(header));
    await file.flush();
    state.header = header;
    this.#header = header;
  }

  /** Data before the pages that show it. */
  async #writePages(pages: TableCache<Page>): Promise<void> {
    const dirty = pages.dirtyEntries();
    if (dirty.length > 0) await this.#parts.context.dataBarrier();
    for (const page of dirty) {
      await this.#parts.file.write(page.offset, encodePage(page.table));
      pages.markClean(page);
    }
  }

  /** A page past the end of the file was never written. */
  async #readPage(offset: number): Promise<Page> {
    const bytes = new Uint8Array(PAGE_SIZE);
    const { file } = this.#parts;
    const pending = offset >= file.size ? undefined : file.read(offset, bytes);
    await pending;
    return parsePage(bytes);
  }
}

/** The part of a cluster from `offset` on, at most `length`. */
function prefix(
  whole: { readonly offset: number; readonly length: number },
  offset: number,
  length: number,
): { readonly offset: number; readonly length: number } {
  return { offset, length: Math.min(length, whole.offset + whole.length - offset) };
}

function finding(clusterIndex: number): Finding {
  return {
    severity: "error",
    what: `entry of cluster ${clusterIndex} is damaged`,
    offset: pageOffset(clusterIndex),
    meaning: "its slot is used twice, or its bitmaps contradict each other",
    repair: "none",
    risk: "the content of the cluster is not to be trusted",
  };
}
