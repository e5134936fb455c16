/** The NEED_CHECK mark: set before the first change of the metadata, cleared when the image was left alone for a while. */

import { type CoMutex, CoSleep, type OpenContext } from "@coblock/core";
import type { QedFile } from "./qed-file.ts";

/** From the last allocating write; QEMU waits as long. */
const DELAY_MS = 5000;

/** Owns one coroutine, which lives while the mark is set and nobody holds the image quiet. */
export class NeedCheck {
  readonly #file: QedFile;
  readonly #lock: CoMutex;
  readonly #context: OpenContext;
  readonly #sleep: CoSleep = new CoSleep();
  #coroutine: Promise<void> | undefined;
  #lastChangeMs = 0;
  /** How many hold the image quiet. */
  #quiet = 0;
  /** The mark is not ours to clear: it was found set, or something failed. A check that finds all well clears it. */
  #stays: boolean;

  /** `lock`: the driver lock. */
  constructor(file: QedFile, lock: CoMutex, context: OpenContext) {
    this.#file = file;
    this.#lock = lock;
    this.#context = context;
    this.#stays = file.needsCheck;
  }

  /** Under the driver lock: the mark is on stable storage when this returns, so no changed metadata can be there before it. */
  async set(): Promise<void> {
    if (!this.#file.needsCheck) await this.#file.setNeedCheck(true);
  }

  /** An allocating write ended: the wait begins anew. */
  changed(): void {
    this.#lastChangeMs = this.#context.clock.now();
    this.#start();
  }

  /** Something failed, and the metadata on the disk is not known: the mark stays, and the next writable open checks. */
  distrust(): void {
    this.#stays = true;
  }

  /** Clears the mark at once. When it returns the coroutine has ended; none starts until the result is disposed. Rejects where clearing fails: then none starts any more. */
  async quiesce(): Promise<AsyncDisposable> {
    let quiet = true;
    const resume = async (): Promise<void> => {
      if (!quiet) return;
      quiet = false;
      this.#quiet--;
      this.#start();
    };
    this.#quiet++;
    this.#sleep.wake();
    await this.#coroutine;
    await this.#clear();
    return { [Symbol.asyncDispose]: resume };
  }

  #start(): void {
    if (this.#coroutine === undefined && this.#mayRun) this.#coroutine = this.#run();
  }

  get #mayRun(): boolean {
    return this.#file.needsCheck && this.#quiet === 0 && !this.#stays;
  }

  async #run(): Promise<void> {
    while (this.#mayRun) {
      const remainingMs = this.#lastChangeMs + DELAY_MS - this.#context.clock.now();
      if (remainingMs > 0) await this.#sleep.sleep(this.#context.clock, remainingMs);
      // A failure left the mark set, which is what it is for; the flush that failed fails for the user too.
      else await this.#clear().catch(() => {});
    }
    this.#coroutine = undefined;
  }

  /** What the metadata leads to, then the cleared mark, each on stable storage; with no allocating write beside. */
  async #clear(): Promise<void> {
    if (!this.#file.needsCheck || this.#stays) return;
    const section = async (): Promise<void> => {
      await this.#file.child.flush();
      using _held = await this.#lock.lock({ who: "clearing NEED_CHECK" });
      if (!this.#stays) await this.#file.setNeedCheck(false);
    };
    try {
      await this.#context.exclusive(section, { block: "allocations" });
    } catch (error) {
      this.distrust();
      throw error;
    }
  }
}
