/** Coroutines that are started together end together. */

import { assert } from "../errors.ts";
import { CoQueue } from "./queue.ts";
import { Waiter } from "./waiter.ts";
import { touch } from "./witness.ts";

/** What ends a group from outside, and how many tasks run at a time. */
export interface TaskGroupOptions {
  /** Cancels the group when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** Tasks that run at one time, at least 1. Absent: no limit. */
  readonly limit?: number | undefined;
}

/**
 * Owns the tasks that it starts: none outlives `close`, and none fails unseen. The first failure aborts the signal that all tasks are
 * given, and no more are started.
 *
 *     await using group = new TaskGroup({ signal, limit: 8 });
 *     for (const piece of pieces) if (!(await group.spawn((signal) => copy(piece, signal)))) break;
 */
export class TaskGroup implements AsyncDisposable {
  readonly #limit: number;
  readonly #controller: AbortController = new AbortController();
  readonly #errors: unknown[] = [];
  readonly #spawners: Set<Waiter<boolean>> = new Set();
  readonly #allEnded: CoQueue = new CoQueue("end of a task group");
  readonly #stopListening: () => void;
  #running = 0;
  #state: "open" | "closing" | "closed" = "open";

  /** A group that was given a signal listens to it until `close`. */
  constructor(options: TaskGroupOptions = {}) {
    const { signal, limit = Infinity } = options;
    assert(limit >= 1, `a task group with room for ${limit}`);
    this.#limit = limit;
    const abort = (): void => this.cancel(signal?.reason);
    this.#stopListening = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted === true) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  }

  /** Aborts at the first failure and at `cancel`: what the tasks are given. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** All failures, in the order they came; the first is what `close` throws. */
  get errors(): readonly unknown[] {
    return this.#errors;
  }

  /**
   * Starts a task, in this turn if there is room; else in its turn, when another has ended. Answers when the task has started:
   * its end, and its failure, belong to the group. `false`: the group is cancelled, the task was not started, and `close` throws
   * why. A task must not spawn into its own group if that has a limit, for it would hold the room that it waits for.
   */
  async spawn(task: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
    assert(this.#state !== "closed", "a task is spawned in a closed group");
    touch(this, "write");
    if (this.signal.aborted) return false;
    if (this.#running < this.#limit) this.#running++;
    else if (!(await this.#waitForRoom())) return false;
    void this.#run(task);
    return true;
  }

  /** Aborts the tasks' signal and starts no more; `close` throws `reason`, unless a task failed before. */
  cancel(reason?: unknown): void {
    touch(this, "write");
    if (this.signal.aborted) return;
    this.#controller.abort(reason);
    this.#errors.push(this.signal.reason);
    for (const spawner of this.#spawners) spawner.wake(false);
    this.#spawners.clear();
  }

  /** Waits until every task has ended, then throws the first error. Only the first call throws, later ones wait. */
  async close(): Promise<void> {
    touch(this, "write");
    const first = this.#state === "open";
    if (first) this.#state = "closing";
    while (this.#running > 0) await this.#allEnded.waitUnlocked();
    this.#state = "closed";
    this.#stopListening();
    if (first && this.#errors.length > 0) throw this.#errors[0];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #waitForRoom(): Promise<boolean> {
    const spawner = new Waiter<boolean>(undefined, undefined, () => {});
    this.#spawners.add(spawner);
    if (!(await spawner.ended)) return false;
    if (!this.signal.aborted) return true;
    this.#leaveRoom();
    return false;
  }

  async #run(task: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    try {
      await task(this.signal);
    } catch (error) {
      if (this.signal.aborted) this.#errors.push(error);
      else this.cancel(error);
    } finally {
      this.#leaveRoom();
    }
  }

  /** Hands the room over to the spawner that has waited longest: it stays taken, so that nobody overtakes. */
  #leaveRoom(): void {
    touch(this, "write");
    for (const spawner of this.#spawners) {
      this.#spawners.delete(spawner);
      spawner.wake(true);
      return;
    }
    this.#running--;
    if (this.#running === 0) this.#allEnded.wakeAll();
  }
}
