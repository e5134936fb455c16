/** All that a scenario gets: simulated disk, clock and threads, and the disks that it opens. */

import {
  BlockGraph,
  BlockNode,
  type CreateOptions,
  type DescribedNode,
  type DriverEntry,
  type Entropy,
  type NodeOptions,
  type OpenOptions,
  type Secrets,
} from "@coblock/core";
import { Actor, type ActorSurroundings } from "./actor.ts";
import type { Journal } from "./journal.ts";
import { type DiskRange, LabDisk } from "./lab-disk.ts";
import { ModelDisk } from "./model-disk.ts";
import type { Inspected } from "./leftovers.ts";
import { Ownership } from "./ownership.ts";
import type { Scheduler } from "./scheduler.ts";
import { simAbortController } from "./sim-abort.ts";
import { SimConnection, type SimConnectionOptions } from "./sim-connection.ts";
import { SimClock } from "./sim-clock.ts";
import { SimOffload } from "./sim-offload.ts";
import { SeededRandom } from "../seeded-random.ts";
import { PagedBytes } from "../storage/paged-bytes.ts";
import { SimStorage, type SimStorageOptions } from "./sim-storage.ts";

export interface LabOptions {
  readonly scheduler: Scheduler;
  readonly journal: Journal;
  readonly drivers: readonly DriverEntry[];
  readonly secrets?: Secrets | undefined;
  readonly storage: SimStorageOptions;
  /** Files made by `file`, kept from run to run. */
  readonly files: Map<string, PagedBytes>;
}

/** Numbers of patterns: those that actors write, and those in files that are made once for many runs. */
const FIRST_WRITTEN = 1;
const FIRST_MADE: number = 2 ** 31;
/** Odd: other numbers stay other numbers (modulo 2^32). */
const SPREAD = 0x9e3779b1;
const ENTROPY_SEED = 1;

/** How a disk is opened, and with which options it is opened read-only to be judged; by default the same. */
export interface LabOpenOptions extends OpenOptions {
  readonly judgedAs?: NodeOptions;
}

/** One for each run. */
export class Lab {
  readonly clock: SimClock;
  readonly offload: SimOffload;
  readonly storage: SimStorage;
  /** The scenario's own graph. */
  readonly graph: BlockGraph;
  readonly #options: LabOptions;
  /** The same keys in every run, so that a replay is a replay. */
  readonly #entropy: Entropy = new SeededRandom(ENTROPY_SEED);
  readonly #disks: LabDisk[] = [];
  readonly #watchedLocks: Inspected[] = [];
  readonly #judges: (() => (graph: BlockGraph) => Promise<void>)[] = [];
  readonly #connections: SimConnection[] = [];
  #abortControllers = 0;
  #patternsWritten = 0;
  #patternsMade = 0;
  #making = false;

  constructor(options: LabOptions) {
    const { scheduler, journal } = options;
    this.#options = options;
    this.clock = new SimClock(scheduler);
    this.offload = new SimOffload(scheduler);
    this.storage = new SimStorage(scheduler, journal, options.storage);
    this.graph = this.newGraph();
  }

  /** The disks that were opened, in order. */
  get disks(): readonly LabDisk[] {
    return this.#disks;
  }

  /** Locks that no graph knows, and that somebody wants watched. */
  get watchedLocks(): readonly Inspected[] {
    return this.#watchedLocks;
  }

  /**
   * For a lock or a queue that no graph knows: from now on the journal tells who holds it and who waits for it, and so do reports of
   * runs that are stuck or leave something behind.
   */
  watchLock<Lock extends Inspected>(lock: Lock): Lock {
    this.#watchedLocks.push(lock);
    return lock;
  }

  /**
   * For what no disk shows: `now` is asked when the actors have ended and at each moment at which the power may go; what it answers then
   * looks at what is left, through a graph of its own, and throws where that cannot be.
   */
  alsoJudge(now: () => (graph: BlockGraph) => Promise<void>): void {
    this.#judges.push(now);
  }

  /** Two ends that are connected: for whoever serves and for whoever asks. */
  connection(options?: SimConnectionOptions): SimConnection {
    const { scheduler, journal } = this.#options;
    const made = new SimConnection(`connection ${this.#connections.length}`, scheduler, journal, options);
    this.#connections.push(made);
    return made;
  }

  /** Internal: ends of connections that are not closed. */
  get openEnds(): number {
    return this.#connections.reduce((sum, { open }) => sum + open, 0);
  }

  /** Internal: how to judge what is left of this moment. */
  judges(): readonly ((graph: BlockGraph) => Promise<void>)[] {
    return this.#judges.map((now) => now());
  }

  /** A signal for requests and waits: with one that was made elsewhere, a walk does not know which steps depend on its abort. */
  abortController(): AbortController {
    return simAbortController(`signal ${this.#abortControllers++}`, this.#options.scheduler);
  }

  /** Another graph over the same files. */
  newGraph(): BlockGraph {
    const ownership = new Ownership(
      (failure) => this.#options.scheduler.fail(failure),
      (file, start, end) => this.storage.inFlightOn(file, start, end),
    );
    const drivers = [this.storage.driver, ...this.#options.drivers.map((entry) => ownership.watch(entry))];
    const { secrets = {} } = this.#options;
    return new BlockGraph({ drivers, secrets, clock: this.clock, offload: this.offload, entropy: this.#entropy, implicitOpen: "allow" });
  }

  /** Puts a file there that `make` answers with the first time it is asked for. */
  async file(name: string, make: () => Promise<Uint8Array>): Promise<void> {
    const { files } = this.#options;
    const known = files.get(name) ?? PagedBytes.from(await this.#made(make));
    files.set(name, known);
    this.storage.put(name, known);
  }

  /** Makes an image in `request.filename`; kept from run to run. `fill` may write to it. */
  image(request: CreateOptions, fill?: (graph: BlockGraph) => Promise<void>): Promise<void> {
    return this.file(request.filename, async () => {
      await using graph = this.newGraph();
      await graph.create(request);
      await fill?.(graph);
      await graph[Symbol.asyncDispose]();
      return this.storage.contentOf(request.filename);
    });
  }

  /** Opens a disk that actors use. What it holds now is what it is expected to hold. */
  async open(name: string, options: NodeOptions, { judgedAs = options, ...how }: LabOpenOptions = {}): Promise<LabDisk> {
    const node = await this.graph.open(isDescription(options) ? { nodeName: name, ...options } : options, how);
    const data: DiskRange[] = [];
    const model = new ModelDisk({ size: node.size });
    for await (const { kind, offset, length } of node.extents()) {
      if (kind !== "data" && kind !== "compressed") continue;
      const bytes = new Uint8Array(length);
      await node.read(offset, bytes);
      model.begin({ kind: "write", offset, bytes }).succeeded();
      data.push({ offset, length });
    }
    model.begin({ kind: "flush" }).succeeded();
    const disk = new LabDisk({ name, options, judgedAs, node, model, data });
    this.#disks.push(disk);
    return disk;
  }

  /** Internal: the actor of that name. */
  actor(name: string): Actor {
    const { scheduler, journal } = this.#options;
    const surroundings: ActorSurroundings = {
      scheduler,
      journal,
      clock: this.clock,
      mayFail: () => this.storage.hasFailed,
      pattern: (length) => this.pattern(length),
    };
    return new Actor(name, surroundings);
  }

  /** Bytes that nobody else writes: each 8-byte word says whose it is, and which, spread over all of its bytes. */
  pattern(length: number): Uint8Array {
    // A run that finds its files made by an earlier one must not write again what is in them.
    const serial = this.#making ? FIRST_MADE + this.#patternsMade++ : FIRST_WRITTEN + this.#patternsWritten++;
    const words = new Uint32Array(2 * Math.ceil(length / 8));
    for (let index = 0; index < words.length; index += 2) {
      words[index] = Math.imul(serial, SPREAD);
      words[index + 1] = Math.imul(index + 1, SPREAD);
    }
    return new Uint8Array(words.buffer, 0, length);
  }

  async #made(make: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const was = this.#making;
    this.#making = true;
    try {
      return await make();
    } finally {
      this.#making = was;
    }
  }
}

/** Neither a file name nor a node that is open already: one that can be given a name. */
function isDescription(options: NodeOptions): options is DescribedNode {
  return typeof options !== "string" && !(options instanceof BlockNode);
}
