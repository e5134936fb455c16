/** Somebody who makes requests, one after the other; several of them run side by side. */

import { hex, type IoOptions } from "@coblock/core";
import type { LabDisk } from "./lab-disk.ts";
import type { Journal } from "./journal.ts";
import type { ModelOperation, ModelRequest } from "./model-disk.ts";
import { RunFailure } from "./run-failure.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimClock } from "./sim-clock.ts";

/** What actors need of their lab. */
export interface ActorSurroundings {
  readonly scheduler: Scheduler;
  readonly journal: Journal;
  readonly clock: SimClock;
  /** Whether requests may fail: a fault has struck. */
  mayFail(): boolean;
  /** Bytes that nobody else writes. */
  pattern(length: number): Uint8Array;
}

/**
 * Every request is told to the disk's model when it begins and when it ends. A request that fails ends the run, unless a fault was
 * asked for; then it answers `false` and the sectors that it touches are old or new.
 */
export class Actor {
  readonly name: string;
  readonly #lab: ActorSurroundings;

  constructor(name: string, lab: ActorSurroundings) {
    this.name = name;
    this.#lab = lab;
  }

  read(disk: LabDisk, offset: number, length: number, options?: IoOptions): Promise<boolean> {
    const into = new Uint8Array(length);
    return this.#request(disk, { kind: "read", offset, length }, () => disk.node.read(offset, into, options), into);
  }

  /** `what`: bytes, or how many of a pattern of their own. */
  write(disk: LabDisk, offset: number, what: Uint8Array | number, options?: IoOptions): Promise<boolean> {
    const bytes = typeof what === "number" ? this.#lab.pattern(what) : what;
    return this.#request(disk, { kind: "write", offset, bytes }, () => unchanged(bytes, () => disk.node.write(offset, bytes, options)));
  }

  writeCompressed(disk: LabDisk, offset: number, what: Uint8Array | number): Promise<boolean> {
    const bytes = typeof what === "number" ? this.#lab.pattern(what) : what;
    return this.#request(disk, { kind: "write", offset, bytes }, () => unchanged(bytes, () => disk.node.writeCompressed(offset, bytes)));
  }

  writeZeroes(disk: LabDisk, offset: number, length: number, mayUnmap = false): Promise<boolean> {
    return this.#request(disk, { kind: "zero", offset, length }, () => disk.node.writeZeroes(offset, length, { mayUnmap }));
  }

  discard(disk: LabDisk, offset: number, length: number, reads: "zero" | "zero or same" | "anything" = "anything"): Promise<boolean> {
    return this.#request(disk, { kind: "discard", offset, length, reads }, () => disk.node.discard(offset, length));
  }

  flush(disk: LabDisk): Promise<boolean> {
    return this.#request(disk, { kind: "flush" }, () => disk.node.flush());
  }

  /** A line for the journal's readers. */
  tells(what: string): void {
    this.#lab.journal.note(() => `${this.name}: ${what}`);
  }

  /** Something that is no request: drain, resize, close. `judge` what it does yourself. */
  async does(what: string, work: () => Promise<void>): Promise<boolean> {
    const { journal } = this.#lab;
    journal.note(() => `${this.name}: ${what}`);
    try {
      await work();
    } catch (error) {
      return this.#failed(what, error);
    }
    journal.note(() => `${this.name}: ${what} is done`);
    return true;
  }

  /** Waits that many milliseconds of simulated time. */
  sleep(durationMs: number): Promise<void> {
    return new Promise((resolve) => this.#lab.clock.schedule(durationMs, resolve));
  }

  /** Stands still until the schedule says otherwise. */
  pause(): Promise<void> {
    return new Promise((resolve) => this.#lab.scheduler.add(() => `${this.name} goes on`, resolve));
  }

  async #request(disk: LabDisk, request: ModelRequest, run: () => Promise<void>, seen?: Uint8Array): Promise<boolean> {
    const { scheduler, journal } = this.#lab;
    const range = rangeOf(request, disk.node.size);
    const what = `${request.kind} ${disk.name} ${hex(range.offset)}+${range.length}`;
    journal.note(() => `${this.name}: ${what} begins`);
    if (request.kind !== "read" && request.kind !== "flush") disk.touch(range);
    scheduler.touchedRange(disk.name, range.offset, range.offset + range.length, "read");
    const operation = disk.model.begin(request, this.name);
    let failure: { readonly error: unknown } | undefined;
    try {
      await run();
    } catch (error) {
      failure = { error };
    }
    scheduler.touchedRange(disk.name, range.offset, range.offset + range.length, "add");
    if (failure !== undefined) operation.failed();
    else this.#succeeded(operation, what, seen);
    return failure === undefined ? true : this.#failed(what, failure.error);
  }

  #succeeded(operation: ModelOperation, what: string, seen: Uint8Array | undefined): void {
    try {
      operation.succeeded(seen);
    } catch (error) {
      throw RunFailure.of(error, "wrong", `${this.name}: ${what}`);
    }
    this.#lab.journal.note(() => `${this.name}: ${what} is done`);
  }

  #failed(what: string, error: unknown): false {
    this.#lab.journal.note(() => `${this.name}: ${what} fails: ${String(error)}`);
    if (this.#lab.mayFail() && !(error instanceof RunFailure)) return false;
    throw RunFailure.of(error, "thrown", `${this.name}: ${what} fails`);
  }
}

/** What is written stays the caller's, and as it is. */
async function unchanged(bytes: Uint8Array, write: () => Promise<void>): Promise<void> {
  const before = bytes.slice();
  await write();
  if (Buffer.compare(bytes, before) !== 0)
    throw new RunFailure("wrong", "the bytes that were given to be written are no longer what they were");
}

function rangeOf(request: ModelRequest, diskSize: number): { readonly offset: number; readonly length: number } {
  if (request.kind === "flush") return { offset: 0, length: diskSize };
  return { offset: request.offset, length: request.kind === "write" ? request.bytes.length : request.length };
}
