/** CoQueue: no wake-up is lost between looking at the condition and falling asleep, and sleepers wake in the order in which they came. */

import { CoMutex, CoQueue, type Held } from "@coblock/core";
import type { Actor, Lab, Scenario } from "@coblock/testing";
import { wrong } from "./lock-model.ts";
import { QueueModel } from "./queue-model.ts";

/** Room for one item, and the queues of those who wait for the item and for the room. */
class Buffer {
  readonly mutex: CoMutex;
  readonly #item: CoQueue;
  readonly #room: CoQueue;
  #items = 0;
  #inside: string | undefined;

  constructor(lab: Lab) {
    this.mutex = lab.watchLock(new CoMutex("M", lab.clock));
    this.#item = lab.watchLock(new CoQueue("item", lab.clock));
    this.#room = lab.watchLock(new CoQueue("room", lab.clock));
  }

  put(actor: Actor, signal?: AbortSignal): Promise<void> {
    return this.#change(actor, { by: 1, when: () => this.#items === 0, wait: this.#room, wake: this.#item }, signal);
  }

  take(actor: Actor, signal?: AbortSignal): Promise<void> {
    return this.#change(actor, { by: -1, when: () => this.#items === 1, wait: this.#item, wake: this.#room }, signal);
  }

  async #change(
    actor: Actor,
    { by, when, wait, wake }: { readonly by: number; readonly when: () => boolean; readonly wait: CoQueue; readonly wake: CoQueue },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const who = actor.name;
    actor.tells(by > 0 ? "wants to put an item" : "wants to take an item");
    using held = await this.mutex.lock({ who });
    while (!when()) await this.#sleep(actor, wait, held, signal);
    this.#enter(who);
    await actor.pause();
    this.#items += by;
    actor.tells(by > 0 ? "puts an item" : "takes an item");
    wake.wakeOne();
    this.#inside = undefined;
  }

  async #sleep(actor: Actor, queue: CoQueue, held: Held, signal: AbortSignal | undefined): Promise<void> {
    actor.tells(`sleeps in queue "${queue.name}"`);
    const [slept] = await Promise.allSettled([queue.wait(held, { who: actor.name, signal })]);
    if (held.released) throw wrong(`${actor.name} comes back from queue "${queue.name}" without its lock`);
    this.#enter(actor.name);
    this.#inside = undefined;
    if (slept.status === "rejected") throw slept.reason;
  }

  #enter(who: string): void {
    if (this.#inside !== undefined) throw wrong(`${who} has the lock beside ${this.#inside}`);
    this.#inside = who;
  }
}

/** Hazard: the lock is let go before the sleeper is in the queue, and the wake-up comes in between. */
export const coroutineQueue: Scenario = {
  name: "coroutine-queue",
  about: "two coroutines put three items, two take them, and the buffer has room for one",
  drivers: [],
  async prepare(lab) {
    const buffer = new Buffer(lab);
    return {
      actors: {
        A: async (actor) => {
          await buffer.take(actor);
          await buffer.take(actor);
        },
        B: (actor) => buffer.take(actor),
        C: async (actor) => {
          await buffer.put(actor);
          await actor.pause();
          await buffer.put(actor);
        },
        D: (actor) => buffer.put(actor),
      },
    };
  },
};

/** Hazard: a wake-up goes to one whose sleep was aborted, and is lost to those who still sleep. */
export const coroutineQueueAbort: Scenario = {
  name: "coroutine-queue-abort",
  about: "two coroutines wait for one item, and the sleep of one aborts at any moment",
  drivers: [],
  async prepare(lab) {
    const buffer = new Buffer(lab);
    const forA = lab.abortController();
    return {
      actors: {
        A: async (actor) => {
          try {
            await buffer.take(actor, forA.signal);
          } catch (error) {
            if (error !== forA.signal.reason) throw error;
            return actor.tells("gives up");
          }
          // Back to where it was, for B.
          await buffer.put(actor);
        },
        B: (actor) => buffer.take(actor),
        C: (actor) => buffer.put(actor),
        D: async (actor) => {
          await actor.pause();
          actor.tells("aborts A's sleep");
          forA.abort();
        },
      },
    };
  },
};

/** First come first served, and nothing is remembered. */
export const coroutineQueueOrder: Scenario = {
  name: "coroutine-queue-order",
  about: "three coroutines sleep in a queue with no lock, one wakes them one at a time and then all that are left",
  drivers: [],
  async prepare(lab) {
    const queue = lab.watchLock(new CoQueue("Q", lab.clock));
    const model = new QueueModel();
    const forB = lab.abortController();
    const sleeper = async (actor: Actor, signal?: AbortSignal): Promise<void> => {
      if (signal?.aborted === true) return;
      actor.tells("sleeps");
      model.sleeps(actor.name);
      const slept = queue.waitUnlocked({ who: actor.name, signal }).then(() => model.goesOn(actor.name));
      await slept.catch((error: unknown) => {
        if (signal?.aborted !== true || error !== signal.reason) throw error;
        actor.tells("gives up");
      });
    };
    const wakeOne = (actor: Actor): void => {
      actor.tells("wakes one");
      model.wakes(actor.name, 1, () => (queue.wakeOne() ? 1 : 0));
    };
    return {
      actors: {
        A: async (actor) => {
          await sleeper(actor);
          await actor.pause();
          await sleeper(actor);
        },
        B: (actor) => sleeper(actor, forB.signal),
        C: (actor) => sleeper(actor),
        D: async (actor) => {
          wakeOne(actor);
          await actor.pause();
          actor.tells("aborts B's sleep");
          model.aborts("B");
          forB.abort();
          wakeOne(actor);
          // Time moves on when all others sleep.
          for (let left = 2; left > 0; left--) {
            await actor.sleep(1);
            actor.tells("wakes all");
            model.wakes(actor.name, Infinity, () => queue.wakeAll());
          }
        },
      },
    };
  },
};
