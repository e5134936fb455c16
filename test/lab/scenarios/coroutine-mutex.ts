/** CoMutex: one at a time, in the order in which they came, whoever gives up. */

import { CoMutex } from "@coblock/core";
import type { Actor, Scenario } from "@coblock/testing";
import { LockModel, wrong } from "./lock-model.ts";
import { visit } from "./lock-visit.ts";

/** Every way to take a mutex, beside one that waits and one that comes twice. */
export const coroutineMutex: Scenario = {
  name: "coroutine-mutex",
  about: "four coroutines take one mutex: by lock, by tryLock in the turn of a release, and by a synchronous section",
  drivers: [],
  async prepare(lab) {
    const mutex = lab.watchLock(new CoMutex("M", lab.clock));
    const model = new LockModel();
    const lock = mutex.lock.bind(mutex);
    const tries = (actor: Actor): void => {
      const expected = !model.locked;
      const held = mutex.tryLock(actor.name);
      actor.tells(`tries, and ${held === undefined ? "must not" : "may"}`);
      if ((held !== undefined) !== expected) throw wrong(`tryLock ${expected ? "refuses a free lock" : "takes a lock that is another's"}`);
      if (held === undefined) return;
      model.asks(actor.name);
      model.enters(actor.name);
      model.leaves(actor.name, () => held[Symbol.dispose]());
    };
    const section = (actor: Actor): void => {
      model.expectSettled();
      const expected = !model.locked;
      const done = mutex.runSync(() => {
        if (!mutex.locked || mutex.tryLock() !== undefined) throw wrong("a mutex is free within its own synchronous section");
      });
      actor.tells(`${done === undefined ? "must not run" : "has run"} a synchronous section`);
      if ((done !== undefined) !== expected)
        throw wrong(`a synchronous section ${expected ? "is refused a free lock" : "runs beside the holder"}`);
    };
    return {
      actors: {
        A: (actor) => visit(actor, model, lock, { afterwards: () => tries(actor) }),
        B: async (actor) => {
          await visit(actor, model, lock);
          await actor.pause();
          await visit(actor, model, lock);
        },
        C: (actor) => visit(actor, model, lock),
        D: async (actor) => {
          section(actor);
          await actor.pause();
          section(actor);
        },
      },
    };
  },
};

/** A wait ends at any moment: before it begins, in line, in the turn of the release that would have ended it, and too late. */
export const coroutineMutexAbort: Scenario = {
  name: "coroutine-mutex-abort",
  about: "four coroutines wait for one mutex, two of them with signals that abort at any moment",
  drivers: [],
  async prepare(lab) {
    const mutex = lab.watchLock(new CoMutex("M", lab.clock));
    const model = new LockModel();
    const lock = mutex.lock.bind(mutex);
    const [forB, forC] = [lab.abortController(), lab.abortController()];
    return {
      actors: {
        A: (actor) => visit(actor, model, lock, { afterwards: () => model.aborts("A", "C", () => forC.abort()) }),
        B: (actor) => visit(actor, model, lock, { signal: forB.signal }),
        C: (actor) => visit(actor, model, lock, { signal: forC.signal }),
        D: async (actor) => {
          actor.tells("aborts B's wait");
          model.aborts("D", "B", () => forB.abort());
          await actor.pause();
          await visit(actor, model, lock);
        },
      },
    };
  },
};
