/** CoSleep: ended by time or by a wake-up, and a wake-up with no sleeper is lost. */

import { CoSleep } from "@coblock/core";
import type { Actor, Lab, Scenario } from "@coblock/testing";
import { wrong } from "./lock-model.ts";

const NIGHT_MS = 100;

/** One bed, whose sleeper and wakers are watched. */
class Bed {
  readonly #lab: Lab;
  readonly #bed: CoSleep = new CoSleep();
  #sleeper: "nobody" | "asleep" | "woken" = "nobody";
  #waker: string | undefined;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Sleeps through, or is woken, or gives up; as it must. */
  async night(actor: Actor, signal?: AbortSignal): Promise<void> {
    const { clock } = this.#lab;
    const beginMs = clock.now();
    if (signal?.aborted !== true) this.#sleeper = "asleep";
    actor.tells(`sleeps at ${beginMs} ms`);
    const how = await this.#bed.sleep(clock, NIGHT_MS, { signal }).then(
      (ended) => ended,
      (error: unknown) => {
        if (signal?.aborted !== true || error !== signal.reason) throw error;
        return "gave up";
      },
    );
    const sleptMs = clock.now() - beginMs;
    actor.tells(`${how} after ${sleptMs} ms`);
    if (this.#waker !== undefined) throw wrong(`${actor.name} goes on inside of ${this.#waker}'s call that wakes it`);
    if ((how === "woken") !== (this.#sleeper === "woken")) throw wrong(`a sleep is ${how}, and the sleeper was ${this.#sleeper}`);
    if (how === "elapsed" && sleptMs !== NIGHT_MS) throw wrong(`a sleep of ${NIGHT_MS} ms is over after ${sleptMs} ms`);
    this.#sleeper = "nobody";
  }

  /** Lost where nobody sleeps. */
  wake(actor: Actor): void {
    actor.tells("wakes");
    if (this.#sleeper === "asleep") this.#sleeper = "woken";
    this.#waker = actor.name;
    this.#bed.wake();
    this.#waker = undefined;
  }
}

/** Wake-ups before, in, between and after the sleeps, and at the very moment at which they end. */
export const coroutineSleep: Scenario = {
  name: "coroutine-sleep",
  about: "one coroutine sleeps three times, another tells it to give up, and two wake it, by chance and when its time is over",
  drivers: [],
  async prepare(lab) {
    const bed = new Bed(lab);
    const forA = lab.abortController();
    return {
      actors: {
        A: async (actor) => {
          await bed.night(actor, forA.signal);
          await actor.pause();
          await bed.night(actor);
          await bed.night(actor);
        },
        B: async (actor) => {
          bed.wake(actor);
          await actor.pause();
          bed.wake(actor);
          await actor.sleep(NIGHT_MS);
          bed.wake(actor);
        },
        C: async (actor) => {
          await actor.sleep(NIGHT_MS / 2);
          bed.wake(actor);
        },
        D: async (actor) => {
          actor.tells("tells A to give up");
          forA.abort();
        },
      },
    };
  },
};

/** Hazard: the sleeper looks at its state, and what it looks for comes before it lies down. */
export const coroutineSleepState: Scenario = {
  name: "coroutine-sleep-state",
  about:
    "one coroutine works whenever there is work, and sleeps until woken; three bring work, one of them in the turn in which it starts another sleeper",
  drivers: [],
  async prepare(lab) {
    const bed = new CoSleep();
    const other = new CoSleep();
    let work = 0;
    const brings = async (actor: Actor): Promise<void> => {
      actor.tells("brings work");
      work++;
      bed.wake();
    };
    return {
      actors: {
        A: async (actor) => {
          for (let done = 0; done < 3; done++) {
            while (work === 0) {
              actor.tells("lies down");
              await bed.sleep(lab.clock, Infinity);
            }
            work--;
            actor.tells("works");
            await actor.pause();
          }
        },
        B: brings,
        C: brings,
        D: async (actor) => {
          const slept = other.sleep(lab.clock, NIGHT_MS);
          other.wake();
          const how = await slept;
          if (how !== "woken") throw wrong(`a wake-up in the turn in which the sleep begins is lost: ${how}`);
          await brings(actor);
        },
      },
    };
  },
};
