/** TaskGroup: tasks start in their order, no more at a time than there is room for, and none outlives the group. */

import { TaskGroup } from "@coblock/core";
import type { Lab, RunFailure, Scenario } from "@coblock/testing";
import { wrong } from "./lock-model.ts";

const ROOM = 2;

/** What the group's tasks do, and what must come of it. */
class Watch {
  readonly #lab: Lab;
  #running = 0;
  #lastStarted = 0;
  /** Not thrown in the task, where the group would take it for the task's own failure. */
  #wrong: RunFailure | undefined;
  /** The reason, once it was cancelled. */
  failure: unknown;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Task `number`, counted from 1: stands still once, and fails if it is to. */
  task(number: number, error?: Error): () => Promise<void> {
    return async () => {
      const actor = this.#lab.actor(`task ${number}`);
      actor.tells("starts");
      this.#judgeStart(number);
      await actor.pause();
      this.#running--;
      actor.tells(error === undefined ? "ends" : `fails: ${error.message}`);
      if (error === undefined) return;
      this.failure ??= error;
      throw error;
    };
  }

  #judgeStart(number: number): void {
    this.#running++;
    this.#lastStarted++;
    if (this.failure !== undefined) this.#wrong ??= wrong(`task ${number} starts in a group that is cancelled`);
    if (this.#running > ROOM)
      this.#wrong ??= wrong(`task ${number} starts beside ${this.#running - 1} others, and there is room for ${ROOM}`);
    if (number !== this.#lastStarted) this.#wrong ??= wrong(`task ${number} starts as number ${this.#lastStarted}`);
  }

  /** Spawns four, closes, and looks at what comes of it. */
  async spawnAll(group: TaskGroup, fails?: number): Promise<void> {
    const started: Promise<boolean>[] = [];
    for (let number = 1; number <= 4; number++) {
      started.push(group.spawn(this.task(number, number === fails ? new Error(`task ${number} is no good`) : undefined)));
    }
    const count = (await Promise.all(started)).filter((answer) => answer).length;
    const thrown = await group.close().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (this.#wrong !== undefined) throw this.#wrong;
    if (this.#running > 0) throw wrong(`the group is closed, and ${this.#running} of its tasks run on`);
    if (thrown !== this.failure) throw wrong(`closing throws ${String(thrown)}, and the first failure was ${String(this.failure)}`);
    if (count !== this.#lastStarted) throw wrong(`${count} tasks are said to have started, and ${this.#lastStarted} have`);
    if (this.failure === undefined && count !== 4) throw wrong(`the group was not cancelled, and ${count} of 4 tasks have started`);
  }
}

/** Hazard: room that a task leaves is given to two, or to nobody. */
export const coroutineTaskGroup: Scenario = {
  name: "coroutine-task-group",
  about: "two groups with room for two run four tasks each",
  drivers: [],
  async prepare(lab) {
    const [first, second] = [new Watch(lab), new Watch(lab)];
    const [one, other] = [new TaskGroup({ limit: ROOM }), new TaskGroup({ limit: ROOM })];
    return { actors: { A: () => first.spawnAll(one), B: () => second.spawnAll(other, 2) } };
  },
};

/** Hazard: those who wait for room are forgotten by a group that is cancelled. */
export const coroutineTaskGroupCancel: Scenario = {
  name: "coroutine-task-group-cancel",
  about: "a group with room for two runs four tasks, one of which fails, and its signal aborts at any moment",
  drivers: [],
  async prepare(lab) {
    const watch = new Watch(lab);
    const controller = lab.abortController();
    const group = new TaskGroup({ limit: ROOM, signal: controller.signal });
    return {
      actors: {
        A: () => watch.spawnAll(group, 3),
        B: async (actor) => {
          actor.tells("aborts the group's signal");
          const reason = new Error("B wants no more");
          // A group that has closed listens no more.
          watch.failure ??= reason;
          controller.abort(reason);
        },
      },
    };
  },
};
