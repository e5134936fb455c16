/** Decides which thread works on a unit: this one, one of Node's pool, or the crew. */

import { availableParallelism } from "node:os";
import { isMainThread, Worker } from "node:worker_threads";

import { SystemClock } from "../coroutine/system-clock.ts";
import { assert } from "../errors.ts";
import type { CodecLibrary } from "./codec-library.ts";
import { Crew } from "./crew.ts";
import type { Job } from "./crew-ring.ts";
import { callHere, CODEC_TASKS, type CodecTask, type UnitCall, type UnitCodecs, type UnitPlaces } from "./unit-codec.ts";

/** Bytes; up to here a unit takes half a millisecond at the most. Longer ones are worth the way to Node's pool. */
const LONGEST_SHORT_UNIT = 64 * 1024;
const PROCESSORS = availableParallelism();
/** As many threads as Node's pool would have, this one counted. */
const CREW_THREADS = Math.min(3, Math.max(1, PROCESSORS - 1));
/** With few processors this thread works, too: it would only wait for the others. */
const THIS_THREAD_HELPS = PROCESSORS < 4;

/** Units asked for within one turn of the event loop: then more will come. */
const ROW_LENGTH = 4;
/** Units in rows after which a crew is worth its start, 40 ms of a processor. */
const UNITS_BEFORE_CREW = 64;

export interface CodecRunnerParts {
  readonly library: CodecLibrary;
  readonly codecs: UnitCodecs;
  /** A crew may be started. */
  readonly mayKeepThreads: boolean;
}

export class CodecRunner {
  readonly #library: CodecLibrary;
  readonly #codecs: UnitCodecs;
  readonly #mayStartCrew: boolean;
  readonly #clock = new SystemClock();
  #crew: Crew | undefined;
  #unitsInTurn = 0;
  #unitsInRows = 0;

  constructor({ library, codecs, mayKeepThreads }: CodecRunnerParts) {
    this.#library = library;
    this.#codecs = codecs;
    this.#mayStartCrew = mayKeepThreads && isMainThread;
  }

  can(task: CodecTask): boolean {
    return this.#codecs[task] !== undefined;
  }

  /** Answers as `UnitCall.finish` does. */
  async run(task: CodecTask, from: Uint8Array, into: Uint8Array): Promise<number> {
    const places = {
      from: this.#library.addressOf(from),
      fromLength: from.length,
      into: this.#library.addressOf(into),
      intoLength: into.length,
    };
    const kept = [from, into];
    if (Math.max(from.length, into.length) > LONGEST_SHORT_UNIT) return this.#inPool(task, places, kept);
    // Done before another thread has heard of it.
    if (task === "zstdDecompress") return this.#here(task, places);
    this.#noteUnit();
    if (this.#crew?.isReady === true) return this.#crew.run({ task: CODEC_TASKS.indexOf(task), places }, kept);
    if (task === "inflate" && THIS_THREAD_HELPS && this.#library.poolIsFull) return this.#here(task, places);
    return this.#inPool(task, places, kept);
  }

  #here(task: CodecTask, places: UnitPlaces): number {
    return callHere(this.#begin(task, places));
  }

  /** A stream is taken when there is a thread for it: whoever waits needs none. */
  #inPool(task: CodecTask, places: UnitPlaces, kept: readonly Uint8Array[]): Promise<number> {
    return this.#library.whenThereIsRoom(async () => {
      using unit = this.#begin(task, places);
      for (;;) {
        const answer = unit.finish(await this.#library.inPool([unit, ...kept], unit.call, unit.parameters));
        if (answer !== undefined) return answer;
      }
    });
  }

  #begin(task: CodecTask, places: UnitPlaces): UnitCall {
    const begin = this.#codecs[task];
    assert(begin !== undefined, "only what it can is asked of it");
    return begin(places);
  }

  #perform({ task, places }: Job): number {
    const name = CODEC_TASKS[task];
    assert(name !== undefined, "a job has a task");
    return this.#here(name, places);
  }

  /** Whoever reads a unit now and then has no use for threads. Those of another thread could not be stopped in time when that is ended. */
  #noteUnit(): void {
    if (this.#crew !== undefined || !this.#mayStartCrew) return;
    this.#unitsInTurn++;
    if (this.#unitsInTurn === 1) void this.#clock.yield().then(() => (this.#unitsInTurn = 0));
    if (this.#unitsInTurn >= ROW_LENGTH) this.#unitsInRows++;
    if (this.#unitsInRows < UNITS_BEFORE_CREW) return;
    const crew = new Crew({
      threads: CREW_THREADS,
      start: startThread,
      perform: (job) => this.#perform(job),
      helps: THIS_THREAD_HELPS,
      clock: this.#clock,
    });
    process.once("exit", () => crew.stopNow());
    this.#crew = crew;
  }
}

function startThread(workerData: SharedArrayBuffer): Worker {
  return new Worker(new URL("./crew-worker.js", import.meta.url), { workerData });
}
