/** Storage under a test's control: an in-memory protocol whose completions come late, in random order, are held, or fail. */

import { type BlockDriver, BlockError, type Clock, type DriverEntry, type MaybePromise, SystemClock } from "@coblock/core";
import { SeededRandom } from "../seeded-random.ts";
import { type CompletionMode, Completions } from "./completions.ts";
import { HeldOperations } from "./held-operations.ts";
import type { LoggedOperation, StorageMatch, StorageOperation } from "./operation.ts";
import { type FaultOptions, StorageFault } from "./storage-fault.ts";
import { PagedBytes } from "./paged-bytes.ts";
import { TestFile } from "./test-file.ts";
import { TestImage } from "./test-image.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    test: { readonly filename: string };
  }
}

/** How a storage behaves. */
export interface TestStorageOptions {
  /** Default "at once". */
  readonly completions?: CompletionMode;
  /** Decides the order of late completions. Default 1. */
  readonly seed?: number;
  /** Whose turns of the event loop late completions take. Default: the machine's. */
  readonly clock?: Clock;
  /** Bytes. Default 1. */
  readonly requestAlignment?: number;
  /** What a discarded range is filled with; anything but 0 shows who takes discarded for zero. Default 0. */
  readonly discardByte?: number;
}

/**
 * Named files in memory behind the protocol `test`: file "a" is `{ driver: "test", filename: "test:a" }`, or the name `test:a`.
 * They outlive the graphs that open them.
 */
export class TestStorage {
  /** To be given to a graph. */
  readonly driver: DriverEntry;
  readonly #options: TestStorageOptions;
  readonly #files: Map<string, TestFile> = new Map();
  readonly #completions: Completions;
  readonly #holdings: Set<HeldOperations> = new Set();
  readonly #faults: StorageFault[] = [];
  #log: LogLine[] = [];
  #sequence = 0;
  #inFlight = 0;
  #openFiles = 0;

  constructor(options: TestStorageOptions = {}) {
    this.#options = options;
    this.#completions = new Completions(
      options.completions ?? "at once",
      new SeededRandom(options.seed ?? 1),
      options.clock ?? new SystemClock(),
    );
    const driver = this.#makeDriver();
    this.driver = { name: "test", kind: "protocol", load: () => Promise.resolve(driver) };
  }

  /** Everything that was asked of the files, in the order in which it began. */
  get log(): readonly LoggedOperation[] {
    return this.#log;
  }

  /** Files that are open now. */
  get openFiles(): number {
    return this.#openFiles;
  }

  /** Operations begun and not ended. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Names of all files. */
  get fileNames(): readonly string[] {
    return [...this.#files.keys()];
  }

  clearLog(): void {
    this.#log = [];
  }

  /** Makes a file, or replaces it; `name` has the prefix. */
  put(name: string, content: Uint8Array): void {
    this.#files.set(name, new TestFile(PagedBytes.from(content)));
  }

  /** A copy of a file's bytes now. */
  contentOf(name: string): Uint8Array {
    return this.#file(name).snapshot().toBytes();
  }

  /** Holds every matching operation that begins from now on. */
  hold(match: StorageMatch = () => true): HeldOperations {
    const holding = new HeldOperations(match, (ended) => this.#holdings.delete(ended));
    this.#holdings.add(holding);
    return holding;
  }

  /** Fails matching operations: at once they throw, later they reject. */
  fail(match: StorageMatch, options: FaultOptions = {}): StorageFault {
    const fault = new StorageFault(match, options);
    this.#faults.push(fault);
    return fault;
  }

  /** A storage of its own with the files as a power cut now would leave them: as their last completed flush found them. */
  afterPowerCut(): TestStorage {
    const copy = new TestStorage(this.#options);
    for (const [name, file] of this.#files) copy.#files.set(name, new TestFile(file.durable));
    return copy;
  }

  #file(name: string): TestFile {
    const file = this.#files.get(name);
    if (file === undefined) throw new BlockError("NOT_FOUND", `Could not open '${name}': no such file`);
    return file;
  }

  #makeDriver(): BlockDriver<"test"> {
    return Object.freeze<BlockDriver<"test">>({
      name: "test",
      kind: "protocol",
      optionNames: ["filename"],
      open: ({ filename }) => Promise.resolve().then(() => this.#open(filename)),
      create: async ({ filename, size }) => void this.#files.set(filename, new TestFile(PagedBytes.zeros(size))),
    });
  }

  #open(name: string): TestImage {
    const file = this.#file(name);
    this.#openFiles++;
    return new TestImage({
      name,
      file,
      limits: { requestAlignment: this.#options.requestAlignment ?? 1 },
      discardByte: this.#options.discardByte ?? 0,
      perform: (operation, effect) => this.#perform(operation, effect),
      onClosed: () => this.#openFiles--,
    });
  }

  #perform(operation: StorageOperation, effect: () => void): MaybePromise<void> {
    const line = { ...operation, began: this.#sequence++, ended: undefined, failed: false };
    this.#log.push(line);
    this.#inFlight++;
    const failure = this.#failureOf(operation);
    const complete = (): void => this.#complete(line, failure, effect);
    for (const holding of this.#holdings) {
      if (holding.matches(operation)) return holding.wait(operation).then(complete);
    }
    return this.#completions.run(complete);
  }

  #complete(line: LogLine, failure: Error | undefined, effect: () => void): void {
    this.#inFlight--;
    line.ended = this.#sequence++;
    if (failure === undefined) return effect();
    line.failed = true;
    throw failure;
  }

  #failureOf(operation: StorageOperation): Error | undefined {
    for (const fault of this.#faults) {
      const failure = fault.failureOf(operation);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }
}

interface LogLine extends StorageOperation {
  readonly began: number;
  ended: number | undefined;
  failed: boolean;
}
