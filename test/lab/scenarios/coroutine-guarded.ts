/** Guarded: a value that is reached under its lock alone. */

import { CoQueue, Guarded, type Held } from "@coblock/core";
import type { Actor, Scenario } from "@coblock/testing";
import { wrong } from "./lock-model.ts";

interface Counter {
  count: number;
}

/** Throws where the value can be had without the lock. */
function expectOutOfReach(held: Held & { readonly value: Counter }, who: string): void {
  let reached = true;
  try {
    void held.value;
  } catch {
    reached = false;
  }
  if (reached) throw wrong(`${who} reaches the value without its lock`);
}

/** Hazard: a value is read, another request changes it, and the old one is written back. */
export const coroutineGuarded: Scenario = {
  name: "coroutine-guarded",
  about: "four coroutines count one number up: two read it and write it back later, one in a synchronous section, one after a sleep",
  drivers: [],
  async prepare(lab) {
    const guarded = lab.watchLock(new Guarded<Counter>("G", { count: 0 }, lab.clock));
    const counted = lab.watchLock(new CoQueue("counted", lab.clock));
    let expected = 0;
    const countUp = async (actor: Actor): Promise<void> => {
      const held = await guarded.lock({ who: actor.name });
      const { count } = held.value;
      actor.tells(`reads ${count}`);
      await actor.pause();
      held.value.count = count + 1;
      expected++;
      actor.tells(`writes ${count + 1}`);
      counted.wakeAll();
      held[Symbol.dispose]();
      expectOutOfReach(held, actor.name);
    };
    return {
      actors: {
        A: countUp,
        B: countUp,
        C: async (actor) => {
          using held = await guarded.lock({ who: actor.name });
          while (held.value.count < 2) {
            const slept = counted.wait(held, { who: actor.name });
            expectOutOfReach(held, actor.name);
            await slept;
          }
          held.value.count++;
          expected++;
          actor.tells("counts after a sleep");
        },
        D: async (actor) => {
          await actor.pause();
          guarded.runSync((value) => {
            value.count++;
            expected++;
            actor.tells("counts in a section");
            counted.wakeAll();
          });
        },
      },
      judge: async () => {
        using held = await guarded.lock();
        if (held.value.count !== expected) throw wrong(`the count is ${held.value.count}, and was counted up ${expected} times`);
      },
    };
  },
};
