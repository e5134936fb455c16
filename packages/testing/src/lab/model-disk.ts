/** A plain array of bytes with the operations of a disk: what runs with concurrent requests and power cuts are judged against. */

import { assert } from "@coblock/core";
import { InitialContent } from "./initial-content.ts";
import { ModelChange, type ChangeEffect } from "./model-change.ts";
import { ModelMismatch } from "./model-mismatch.ts";
import { SECTOR_SIZE } from "./sector-content.ts";
import type { SectorCut } from "./sector-cut.ts";
import { type ModelFlush, type ModelRead, SectorHistory } from "./sector-history.ts";

const MAX_CONTENTS_IN_MESSAGE = 64;

/** Offsets and lengths are bytes. What a discard may leave is said by `reads`. */
export type ModelRequest =
  | { readonly kind: "read"; readonly offset: number; readonly length: number }
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "zero"; readonly offset: number; readonly length: number }
  | { readonly kind: "discard"; readonly offset: number; readonly length: number; readonly reads: "zero" | "zero or same" | "anything" }
  | { readonly kind: "flush" };

/** One request in flight. Exactly one of the two is called, in the turn in which the request ends. */
export interface ModelOperation {
  /** `seen`: what a read has brought. Throws ModelMismatch where no order of the requests explains it; then the model is of no more use. */
  succeeded(seen?: Uint8Array): void;
  /** Each sector that it touches may have been changed until now, or not; never later. */
  failed(): void;
}

/**
 * Each sector is linearizable: its requests are as if they had gone one after the other, each between its begin and its end. A request as a
 * whole is not. Sectors that nobody has touched cost nothing.
 *
 * A flush that succeeds covers the requests that had ended when it began. A byte that a discard leaves open is whatever is first read of it,
 * and stays so; a power cut before a flush may change it again.
 */
export class ModelDisk {
  readonly #initial: InitialContent;
  /** Touched sectors by number. The last one may reach beyond the disk: there it holds zeros. */
  readonly #sectors: Map<number, SectorHistory> = new Map();
  /** Those with changes that no flush covers. */
  readonly #dirty: Set<SectorHistory> = new Set();
  readonly #reads: Set<ModelRead> = new Set();
  #size: number;
  #tick = 0;
  #inFlight = 0;

  /** `content`: what it holds, or how many bytes of zeros. */
  constructor(content: Uint8Array | { readonly size: number }) {
    this.#initial = new InitialContent(content instanceof Uint8Array ? content : new Uint8Array(0));
    this.#size = content instanceof Uint8Array ? content.length : content.size;
  }

  get size(): number {
    return this.#size;
  }

  /** To be called in the turn in which the request begins. `who` makes it, for messages. */
  begin(request: ModelRequest, who = "the disk"): ModelOperation {
    const { kind } = request;
    switch (kind) {
      case "read":
        return this.#beginRead(request.offset, request.length, `${who}: read of ${request.length} bytes at ${request.offset}`);
      case "write":
        return this.#beginChange(request.offset, request.bytes.length, { kind: "bytes", bytes: Buffer.from(request.bytes) });
      case "zero":
        return this.#beginChange(request.offset, request.length, { kind: "zero" });
      case "discard":
        return this.#beginChange(request.offset, request.length, { kind: request.reads });
      case "flush":
        return this.#beginFlush();
      default:
        return kind satisfies never;
    }
  }

  /** A read while nothing else is in flight. From now on the disk is known to hold what was seen. */
  expect(offset: number, seen: Uint8Array, what: string): void {
    this.#beginRead(offset, seen.length, what).succeeded(seen);
  }

  /** What a power cut now may leave. It stays as it is while requests go on. */
  afterPowerCut(): CutExpectation {
    const sectors = new Map<number, SectorCut>();
    for (const [number, sector] of this.#sectors) sectors.set(number, sector.cut());
    return new CutExpectation(this.#initial, sectors);
  }

  /** While nothing is in flight. New bytes are zeros; a power cut before the next flush may bring back what was cut off. */
  resize(size: number): void {
    assert(this.#inFlight === 0, "a disk is resized while requests are in flight");
    if (size < this.#size) this.#cutOff(size);
    this.#size = size;
  }

  #beginRead(offset: number, length: number, what: string): ModelOperation {
    this.#assertInside(offset, length);
    const read: ModelRead = { offset, end: offset + length };
    this.#reads.add(read);
    for (const sector of this.#touched(read)) if (sector.isBusy) sector.beginRead(read);
    return this.#operation({
      succeeded: (seen) => {
        assert(seen?.length === length, "a read tells what it has seen");
        this.#reads.delete(read);
        this.#judgeRead(read, seen, what);
      },
      failed: () => {
        this.#reads.delete(read);
        for (const sector of this.#touched(read)) sector.readFailed(read);
      },
    });
  }

  #judgeRead(read: ModelRead, seen: Uint8Array, what: string): void {
    this.#initial.expect({
      offset: read.offset,
      seen,
      what,
      touched: this.#sectors,
      judge: (sector, start, part) => {
        const possible = sector.readSucceeded(read, part);
        if (possible !== undefined) throw ModelMismatch.inSector(what, start, part, possible);
      },
    });
  }

  #beginChange(offset: number, length: number, effect: ChangeEffect): ModelOperation {
    this.#assertInside(offset, length);
    const change = new ModelChange({ offset, length, effect, beganAt: ++this.#tick });
    const first = Math.floor(offset / SECTOR_SIZE);
    const end = length === 0 ? first : Math.ceil((offset + length) / SECTOR_SIZE);
    const sectors: SectorHistory[] = [];
    for (let number = first; number < end; number++) sectors.push(this.#changeSector(number, change));
    return this.#operation({
      succeeded: () => {
        change.ended(++this.#tick, "succeeded");
        for (const sector of sectors) sector.succeeded(change);
      },
      failed: () => {
        change.ended(++this.#tick, "failed");
        for (const sector of sectors) sector.failed(change);
      },
    });
  }

  #changeSector(number: number, change: ModelChange): SectorHistory {
    const start = number * SECTOR_SIZE;
    let sector = this.#sectors.get(number);
    if (sector === undefined) {
      sector = new SectorHistory(start, this.#initial.sectorAt(start));
      this.#sectors.set(number, sector);
    }
    sector.begin(
      change,
      this.#reads.size === 0 ? [] : [...this.#reads].filter(({ offset, end }) => offset < start + SECTOR_SIZE && end > start),
    );
    this.#dirty.add(sector);
    return sector;
  }

  #beginFlush(): ModelOperation {
    const flush: ModelFlush = { beganAt: ++this.#tick };
    const sectors = [...this.#dirty];
    for (const sector of sectors) sector.beginFlush(flush);
    return this.#operation({
      succeeded: () => {
        for (const sector of sectors) {
          sector.flushSucceeded(flush);
          if (!sector.isDirty) this.#dirty.delete(sector);
        }
      },
      failed: () => {
        for (const sector of sectors) sector.flushFailed(flush);
      },
    });
  }

  /** Whatever is beyond becomes zero: that is how it is found when the disk grows again. */
  #cutOff(size: number): void {
    const effect: ChangeEffect = { kind: "zero" };
    const change = new ModelChange({ offset: size, length: this.#size - size, effect, beganAt: ++this.#tick });
    const first = Math.floor(size / SECTOR_SIZE);
    const numbers = new Set([...this.#sectors.keys()].filter((number) => number >= first));
    for (let number = first; number * SECTOR_SIZE < this.#initial.length; number++) numbers.add(number);
    const sectors = [...numbers].map((number) => this.#changeSector(number, change));
    change.ended(++this.#tick, "succeeded");
    for (const sector of sectors) sector.succeeded(change);
  }

  *#touched({ offset, end }: ModelRead): Generator<SectorHistory> {
    for (let number = Math.floor(offset / SECTOR_SIZE); number * SECTOR_SIZE < end; number++) {
      const sector = this.#sectors.get(number);
      if (sector !== undefined) yield sector;
    }
  }

  #operation(operation: ModelOperation): ModelOperation {
    this.#inFlight++;
    let hasEnded = false;
    const end = (): void => {
      assert(!hasEnded, "a request ends twice");
      hasEnded = true;
      this.#inFlight--;
    };
    return {
      succeeded: (seen) => {
        end();
        operation.succeeded(seen);
      },
      failed: () => {
        end();
        operation.failed();
      },
    };
  }

  #assertInside(offset: number, length: number): void {
    assert(offset >= 0 && length >= 0 && offset + length <= this.#size, "a request beyond the end of the model");
  }
}

/** What the disk may hold after a power cut at one moment. Judging changes nothing: it is good for any number of disks that may be left. */
export class CutExpectation {
  readonly #initial: InitialContent;
  readonly #sectors: ReadonlyMap<number, SectorCut>;

  /** Internal: sectors by number; the others are as in `initial`. */
  constructor(initial: InitialContent, sectors: ReadonlyMap<number, SectorCut>) {
    this.#initial = initial;
    this.#sectors = sectors;
  }

  /** Throws ModelMismatch where a sector holds what it may not. */
  expect(offset: number, seen: Uint8Array, what: string): void {
    this.#initial.expect({
      offset,
      seen,
      what,
      touched: this.#sectors,
      judge: (sector, start, part) => {
        if (!sector.allows(part)) throw ModelMismatch.inSector(what, start, part, sector.contents(MAX_CONTENTS_IN_MESSAGE));
      },
    });
  }
}
