/** An oracle: no host bytes have two owners, and none are looked up, or given back, that somebody else may still use. */

import {
  type Allocation,
  type BlockDriver,
  type BlockImage,
  type DriverEntry,
  hex,
  type HostSpan,
  type MappedImage,
  type Mapping,
  type OpenContext,
  type Wait,
} from "@coblock/core";
import { RunFailure } from "./run-failure.ts";

/** Host bytes [start, end) of one file, and the guest bytes that they belong to (`guest`: the guest offset of `start`). */
interface Owned {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly guest: number;
}

/** Operations in flight on bytes of a file, as lines for a reader. */
export type InFlightOn = (file: string, start: number, end: number) => readonly string[];

/** Stands between the engine and every mapped image that a graph opens, and looks at what they tell each other. */
export class Ownership {
  readonly #fail: (failure: RunFailure) => void;
  readonly #inFlightOn: InFlightOn;

  constructor(fail: (failure: RunFailure) => void, inFlightOn: InFlightOn) {
    this.#fail = fail;
    this.#inFlightOn = inFlightOn;
  }

  /** The same driver, watched. */
  watch(entry: DriverEntry): DriverEntry {
    if (entry.kind === "protocol") return entry;
    return { ...entry, load: async () => this.#watchDriver(await entry.load()) };
  }

  #watchDriver(driver: BlockDriver): BlockDriver {
    return {
      ...driver,
      open: async (options, context) => {
        const owners = new Owners(context.nodeName, this.#fail, this.#inFlightOn);
        const image = await driver.open(options, owners.context(context));
        return isMapped(image) ? owners.watch(image) : image;
      },
    };
  }
}

/** The owners of one open image's host bytes, as far as this session has seen them. */
class Owners {
  readonly #name: string;
  readonly #report: (failure: RunFailure) => void;
  readonly #inFlightOn: InFlightOn;
  #owned: readonly Owned[] = [];
  #retired: readonly Owned[] = [];

  constructor(name: string, report: (failure: RunFailure) => void, inFlightOn: InFlightOn) {
    this.#name = name;
    this.#report = report;
    this.#inFlightOn = inFlightOn;
  }

  /** The image's context, listened to. */
  context(context: OpenContext): OpenContext {
    return new Proxy(context, {
      get: (target, key) => {
        if (key === "retire")
          return (span: HostSpan, options?: { readonly discard?: boolean }) => (this.#retire(span), target.retire(span, options));
        return boundTo(target, key);
      },
    });
  }

  watch(image: MappedImage): MappedImage {
    const watched = new Map<string | symbol, unknown>(
      Object.entries({
        lookup: this.#lookup(image),
        ...(image.allocate === undefined ? {} : { allocate: this.#allocate(image) }),
        ...(image.allocateNow === undefined ? {} : { allocateNow: this.#allocateNow(image) }),
        ...(image.abandon === undefined ? {} : { abandon: this.#abandon(image) }),
        ...(image.release === undefined ? {} : { release: this.#release(image) }),
      }),
    );
    return new Proxy(image, { get: (target, key) => watched.get(key) ?? boundTo(target, key) });
  }

  #lookup(image: MappedImage): MappedImage["lookup"] {
    return (state, offset, length, intent) => {
      const found: Mapping | Wait = image.lookup(state, offset, length, intent);
      if (found.kind === "data") {
        const span = ownedBy(offset, { child: found.child, childOffset: found.childOffset, length: found.length });
        const gone = this.#retired.find((other) => meet(other, span));
        if (gone !== undefined) this.#fail(`guest offset ${hex(offset)} is mapped to ${describe(gone)}, which was retired`);
      }
      return found;
    };
  }

  #allocate(image: MappedImage): NonNullable<MappedImage["allocate"]> {
    return async (state, request) => {
      const found = await image.allocate?.(state, request);
      if (found === undefined) throw new Error("assertion failed: an image lost its allocate");
      if (!("kind" in found)) this.#give(ownedBy(found.offset, { ...found, length: request.storedLength ?? found.length }));
      return found;
    };
  }

  #allocateNow(image: MappedImage): NonNullable<MappedImage["allocateNow"]> {
    return (state, request) => {
      const found = image.allocateNow?.(state, request);
      if (found !== undefined) this.#give(ownedBy(found.offset, found));
      return found;
    };
  }

  #give(span: Owned): void {
    const gone = this.#retired.find((other) => meet(other, span));
    if (gone !== undefined) this.#fail(`${describe(gone)} was retired, and is given to guest offset ${hex(span.guest)} before it is free`);
    const owner = this.#owned.find((other) => meet(other, span) && other.guest - other.start !== span.guest - span.start);
    if (owner !== undefined)
      this.#fail(`guest offset ${hex(span.guest)} is given ${describe(owner)}, which guest offset ${hex(owner.guest)} owns`);
    this.#owned = [...this.#owned, span];
  }

  #abandon(image: MappedImage): NonNullable<MappedImage["abandon"]> {
    return async (state, allocation: Allocation) => {
      this.#owned = without(this.#owned, ownedBy(allocation.offset, allocation));
      await image.abandon?.(state, allocation);
    };
  }

  #retire(span: HostSpan): void {
    const given = ownedBy(0, span);
    const twice = this.#retired.find((other) => meet(other, given));
    if (twice !== undefined) this.#fail(`${describe(given)} is retired twice`);
    this.#owned = without(this.#owned, given);
    this.#retired = [...this.#retired, given];
  }

  #release(image: MappedImage): NonNullable<MappedImage["release"]> {
    return async (state, spans) => {
      for (const span of spans) {
        const given = ownedBy(0, span);
        for (const operation of this.#inFlightOn(given.file, given.start, given.end))
          this.#fail(`${describe(given)} is given back while it is in use: ${operation}`);
        this.#retired = without(this.#retired, given);
      }
      await image.release?.(state, spans);
    };
  }

  #fail(message: string): void {
    this.#report(new RunFailure("wrong", `${this.#name}: ${message}`));
  }
}

function isMapped(image: BlockImage | MappedImage): image is MappedImage {
  return "lookup" in image;
}

/** A member as the target itself has it: private fields know nothing of proxies. */
function boundTo(target: object, key: string | symbol): unknown {
  const member: unknown = Reflect.get(target, key, target);
  return typeof member === "function" ? member.bind(target) : member;
}

function ownedBy(guest: number, { child, childOffset, length }: HostSpan): Owned {
  return { file: child.node.fileName, start: childOffset, end: childOffset + length, guest };
}

function meet(one: Owned, other: Owned): boolean {
  return one.file === other.file && one.start < other.end && other.start < one.end;
}

/** What is left of `spans` outside of `gone`. */
function without(spans: readonly Owned[], gone: Owned): readonly Owned[] {
  return spans.flatMap((span) => {
    if (!meet(span, gone)) return [span];
    const left = { ...span, end: gone.start };
    const right = { ...span, start: gone.end, guest: span.guest + gone.end - span.start };
    return [left, right].filter(({ start, end }) => start < end);
  });
}

function describe({ file, start, end }: Owned): string {
  return `${file} ${hex(start)}+${end - start}`;
}
