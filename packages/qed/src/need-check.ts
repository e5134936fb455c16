/** The NEED_CHECK mark: set before the first change of the metadata, cleared when the image was left alone for a while. */

import { type CoMutex, IdleTask, type OpenContext } from "@coblock/core";
import type { QedFile } from "./qed-file.ts";

/** From the last allocating write; QEMU waits as long. */
const DELAY_MS = 5000;

export class NeedCheck {
  readonly #file: QedFile;
  readonly #lock: CoMutex;
  readonly #context: OpenContext;
  readonly #clearing: IdleTask;
  /** The mark is not ours to clear: it was found set, or something failed. A check that finds all well clears it. */
  #stays: boolean;

  /** `lock`: the driver lock. */
  constructor(file: QedFile, lock: CoMutex, context: OpenContext) {
    this.#file = file;
    this.#lock = lock;
    this.#context = context;
    this.#stays = file.needsCheck;
    // A failure leaves the mark set, which is what it is for; the flush that failed fails for the user too.
    const work = (): Promise<void> => this.#clear().catch(() => {});
    this.#clearing = new IdleTask({ clock: context.clock, delayMs: DELAY_MS, isWanted: () => this.#isOurs, work });
  }

  /**
   * Changes metadata, under the driver lock. `marked`: with the mark on stable storage before `change` begins; else the order of its writes
   * keeps it safe. Where it fails anything may be on the disk: a mark stays, and the next writable open checks.
   */
  async during(marked: boolean, change: () => Promise<void>): Promise<void> {
    try {
      if (marked && !this.#file.needsCheck) await this.#file.setNeedCheck(true);
      await change();
    } catch (error) {
      this.#stays = true;
      throw error;
    }
    this.#clearing.postpone();
  }

  /** Clears the mark at once. When it returns no coroutine runs, and none starts until the result is disposed. Rejects where clearing fails: then none starts any more. */
  async quiesce(): Promise<AsyncDisposable> {
    const held = await this.#clearing.hold();
    await this.#clear();
    return held;
  }

  get #isOurs(): boolean {
    return this.#file.needsCheck && !this.#stays;
  }

  /** What the metadata leads to, then the cleared mark, each on stable storage; with no allocating write beside. */
  async #clear(): Promise<void> {
    if (!this.#isOurs) return;
    const section = async (): Promise<void> => {
      await this.#file.child.flush();
      using _held = await this.#lock.lock({ who: "clearing NEED_CHECK" });
      if (!this.#stays) await this.#file.setNeedCheck(false);
    };
    try {
      await this.#context.exclusive(section, { block: "allocations" });
    } catch (error) {
      this.#stays = true;
      throw error;
    }
  }
}
