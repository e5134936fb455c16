/** A simulated disk: an in-memory protocol whose completions the schedule decides, with a volatile write cache and faults by rule. */

import { hex, type BlockDriver, BlockError, type BlockEvent, type DriverEntry, type MaybePromise } from "@coblock/core";
import { PagedBytes } from "../storage/paged-bytes.ts";
import { BreakPoints } from "./break-points.ts";
import { RunFailure } from "./run-failure.ts";
import type { Scheduler } from "./scheduler.ts";
import { faultError, SimFault, type SimFaultRule } from "./sim-fault.ts";
import { type FileAtCut, SimFile } from "./sim-file.ts";
import { SimImage, type SimOperation } from "./sim-image.ts";
import type { Journal } from "./journal.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    sim: { readonly filename: string };
  }
}

/** How a storage behaves. */
export interface SimStorageOptions {
  /** `later`: never in the turn in which an operation begins; `at once`: always; `either`: a choice of the schedule. Default "either". */
  readonly completions?: "later" | "at once" | "either";
  /** Whether coroutines may be stopped at every driver event, by choice of the schedule. Default false. */
  readonly pauses?: boolean;
  /** Whether drivers above are heard before each step, so that break points and pauses work: then none of them does several steps in one turn. Default true. */
  readonly events?: boolean;
  /** Bytes. Default 1. */
  readonly requestAlignment?: number;
  /** What a discarded range is filled with; anything but 0 shows who takes discarded for zero. Default 0xdd. */
  readonly discardByte?: number;
}

/** An operation in flight. */
interface InFlight {
  readonly operation: SimOperation;
  /** What the rule that holds it keeps from going on. */
  heldBy: SimFault | undefined;
  start(): void;
}

/**
 * Named files behind the protocol `sim`: file "a" is `{ driver: "sim", filename: "sim:a" }`, or the name `sim:a`. What is not flushed may be
 * lost at a power cut, sector by sector, in any order.
 */
export class SimStorage {
  /** To be given to a graph. */
  readonly driver: DriverEntry;
  /** Where coroutines are made to stand still. */
  readonly breakPoints: BreakPoints;
  readonly #scheduler: Scheduler;
  readonly #journal: Journal;
  readonly #options: SimStorageOptions;
  readonly #files: Map<string, SimFile> = new Map();
  readonly #inFlight: Set<InFlight> = new Set();
  readonly #faults: SimFault[] = [];
  #openFiles = 0;
  #onBoundary: ((operation: SimOperation, moment: "begins" | "ends") => void) | undefined;

  constructor(scheduler: Scheduler, journal: Journal, options: SimStorageOptions = {}) {
    this.#scheduler = scheduler;
    this.#journal = journal;
    this.#options = options;
    this.breakPoints = new BreakPoints((kind) => scheduler.touchedRange("break points", 0, 1, kind));
    const driver = this.#makeDriver();
    this.driver = { name: "sim", kind: "protocol", load: () => Promise.resolve(driver) };
  }

  /** Files that are open now. */
  get openFiles(): number {
    return this.#openFiles;
  }

  /** Operations begun and not ended, and coroutines that stand still at break points, as lines for a reader. */
  get inFlight(): readonly string[] {
    const begun = [...this.#inFlight].map(
      ({ operation, heldBy }) => `${describe(operation)}${heldBy === undefined ? "" : ", held by a fault"}`,
    );
    return [...begun, ...this.breakPoints.describe()];
  }

  /** Those on bytes [start, end) of a file. */
  inFlightOn(name: string, start: number, end: number): readonly string[] {
    return [...this.#inFlight]
      .filter(({ operation: { file, offset, length } }) => file === name && offset < end && start < offset + length)
      .map(({ operation }) => describe(operation));
  }

  /** Whether any fault has struck. */
  get hasFailed(): boolean {
    return this.#faults.some(({ hits, rule }) => hits > 0 && rule.effect !== "held");
  }

  /** Names of all files. */
  get fileNames(): readonly string[] {
    return [...this.#files.keys()];
  }

  /** Makes a file, or replaces it; `name` has the prefix. Its content is on the disk for good. */
  put(name: string, content: Uint8Array | PagedBytes): void {
    this.#files.set(name, new SimFile(content instanceof PagedBytes ? content : PagedBytes.from(content)));
  }

  /** A copy of a file's bytes now. */
  contentOf(name: string): Uint8Array {
    return this.#file(name).snapshot();
  }

  /** From now on operations that match are struck. */
  fault(rule: SimFaultRule): SimFault {
    const name = `fault ${this.#faults.length}`;
    const fault = new SimFault(rule, {
      release: (held) => this.#letGo(held),
      touch: (kind) => this.#scheduler.touchedRange(name, 0, 1, kind),
    });
    this.#faults.push(fault);
    return fault;
  }

  /** Tells `observer` when an operation that changes or flushes begins and when it has taken effect, until disposed. */
  observe(observer: (operation: SimOperation, moment: "begins" | "ends") => void): Disposable {
    this.#onBoundary = observer;
    return { [Symbol.dispose]: () => (this.#onBoundary = undefined) };
  }

  /** All files as a power cut now finds them. */
  atCut(): ReadonlyMap<string, FileAtCut> {
    const cut = new Map<string, FileAtCut>();
    for (const [name, file] of this.#files) {
      const begun = [...this.#inFlight].flatMap(({ operation: { file: of, offset, bytes } }) =>
        of === name && bytes !== undefined ? [{ offset, bytes }] : [],
      );
      cut.set(name, file.atCut(begun));
    }
    return cut;
  }

  #file(name: string): SimFile {
    const file = this.#files.get(name);
    if (file === undefined) throw new BlockError("NOT_FOUND", `Could not open '${name}': no such file`);
    return file;
  }

  #makeDriver(): BlockDriver<"sim"> {
    return Object.freeze<BlockDriver<"sim">>({
      name: "sim",
      kind: "protocol",
      optionNames: ["filename"],
      open: ({ filename }) => Promise.resolve().then(() => this.#open(filename)),
      create: ({ filename, size }) => Promise.resolve(this.put(filename, new Uint8Array(size))),
    });
  }

  #open(name: string): SimImage {
    const file = this.#file(name);
    this.#openFiles++;
    return new SimImage({
      name,
      file,
      limits: { requestAlignment: this.#options.requestAlignment ?? 1 },
      discardByte: this.#options.discardByte ?? 0xdd,
      perform: (operation) => this.#perform(operation),
      ...(this.#options.events === false ? {} : { event: (event: BlockEvent) => this.#atEvent(event, name) }),
      onClosed: () => this.#openFiles--,
    });
  }

  #perform(operation: SimOperation): MaybePromise<void> {
    if (this.#scheduler.quiet) return operation.apply(operation.length);
    const changes = operation.kind !== "read";
    if (changes) this.#onBoundary?.(operation, "begins");
    const fault = this.#faults.find((candidate) => candidate.strikes(operation, () => this.#scheduler.pick(2, "fault") === 1));
    const complete = (): void => {
      if (fault !== undefined && fault.rule.effect !== "held") return this.#fail(operation, fault.rule.effect);
      this.#apply(operation, operation.length);
      if (changes) this.#onBoundary?.(operation, "ends");
    };
    if (fault?.rule.effect !== "held" && this.#completesAtOnce()) {
      this.#journal.note(() => `${describe(operation)}, at once`);
      return complete();
    }
    this.#journal.note(() => `${describe(operation)} begins${fault?.rule.effect === "held" ? ", and is held" : ""}`);
    return this.#later(operation, fault?.rule.effect === "held" ? fault : undefined, complete);
  }

  #later(operation: SimOperation, heldBy: SimFault | undefined, complete: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const flight: InFlight = {
        operation,
        heldBy,
        start: () => {
          this.#scheduler.add(
            () => `${describe(operation)} ends`,
            () => {
              this.#inFlight.delete(flight);
              try {
                resolve(complete());
              } catch (error) {
                reject(error);
              }
            },
          );
        },
      };
      this.#inFlight.add(flight);
      if (heldBy === undefined) flight.start();
    });
  }

  #completesAtOnce(): boolean {
    const { completions = "either" } = this.#options;
    return completions === "at once" || (completions === "either" && this.#scheduler.pick(2, "completion") === 1);
  }

  /** Takes effect. Steps that touch the same bytes of a file are not independent. */
  #apply(operation: SimOperation, length: number): void {
    const { kind, offset } = operation;
    const whole = kind === "flush" || kind === "resize";
    this.#scheduler.touchedRange(
      operation.file,
      whole ? 0 : offset,
      whole ? Infinity : offset + length,
      kind === "read" ? "read" : "write",
    );
    try {
      operation.apply(length);
    } catch (error) {
      this.#scheduler.fail(RunFailure.of(error, "wrong", describe(operation)));
      throw error;
    }
  }

  #fail(operation: SimOperation, effect: SimFaultRule["effect"]): never {
    const done = effect === "short" ? Math.floor(operation.length / 2 / 512) * 512 : operation.length;
    const takesEffect = effect === "unheard" || (effect === "short" && done > 0);
    if (takesEffect) this.#apply(operation, done);
    this.#journal.note(() => `${describe(operation)} fails: ${effect}`);
    throw faultError(operation, effect);
  }

  #letGo(fault: SimFault): void {
    for (const flight of this.#inFlight) {
      if (flight.heldBy !== fault) continue;
      flight.heldBy = undefined;
      flight.start();
    }
  }

  #atEvent(event: BlockEvent, file: string): MaybePromise<void> {
    if (this.#scheduler.quiet) return undefined;
    const stopped = this.breakPoints.at(event);
    if (stopped !== undefined) {
      this.#journal.note(() => `stopped at ${event} of ${file}`);
      return stopped;
    }
    if (this.#options.pauses !== true || this.#scheduler.pick(2, "pause") === 0) return undefined;
    this.#journal.note(() => `paused at ${event} of ${file}`);
    return new Promise((resolve) => this.#scheduler.add(() => `goes on from ${event} of ${file}`, resolve));
  }
}

function describe({ kind, file, offset, length }: SimOperation): string {
  if (kind === "flush") return `${file}: flush`;
  return kind === "resize" ? `${file}: resize to ${offset}` : `${file}: ${kind} ${hex(offset)}+${length}`;
}
