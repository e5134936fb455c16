/** CoRwLock: readers share, a writer is alone, and both go in as they came, whoever gives up. */

import { CoRwLock } from "@coblock/core";
import type { Actor, Lab, Scenario } from "@coblock/testing";
import { LockModel, wrong } from "./lock-model.ts";
import { visit, type VisitOptions } from "./lock-visit.ts";

type Go = (actor: Actor, mode: "read" | "write", options?: VisitOptions) => Promise<boolean>;

function lockOf(lab: Lab): { readonly model: LockModel; readonly go: Go } {
  const lock = lab.watchLock(new CoRwLock("RW", lab.clock));
  const model = new LockModel();
  const go: Go = (actor, mode, options) => visit(actor, model, lock[mode].bind(lock), { mode, ...options });
  return { model, go };
}

/** Hazard: a writer or a reader is forgotten when the lock becomes free, or goes in past those who came before. */
export const coroutineRwLock: Scenario = {
  name: "coroutine-rw-lock",
  about: "two readers and two writers, one of them both in turn, come to one lock and leave it",
  drivers: [],
  async prepare(lab) {
    const { go } = lockOf(lab);
    return {
      actors: {
        A: async (actor) => {
          await go(actor, "read");
          await actor.pause();
          await go(actor, "write");
        },
        B: (actor) => go(actor, "write"),
        C: (actor) => go(actor, "read"),
        D: (actor) => go(actor, "read"),
      },
    };
  },
};

/** Hazard: a writer that gives up in line was all that held back the readers behind it, and they sleep on. */
export const coroutineRwLockAbort: Scenario = {
  name: "coroutine-rw-lock-abort",
  about: "a writer and a reader wait with signals that abort at any moment, others before and behind them",
  drivers: [],
  async prepare(lab) {
    const { model, go } = lockOf(lab);
    const [forB, forC] = [lab.abortController(), lab.abortController()];
    return {
      actors: {
        A: (actor) => go(actor, "read"),
        B: (actor) => go(actor, "write", { signal: forB.signal, afterwards: () => model.aborts("B", "C", () => forC.abort()) }),
        C: (actor) => go(actor, "read", { signal: forC.signal }),
        D: async (actor) => {
          await go(actor, "read");
          await actor.pause();
          actor.tells("aborts B's wait");
          model.aborts("D", "B", () => forB.abort());
        },
      },
    };
  },
};

/** Hazard: what a reader has seen is old when it comes back as a writer (QEMU upgrades and downgrades; here one side is left for the other). */
export const coroutineRwLockSides: Scenario = {
  name: "coroutine-rw-lock-sides",
  about: "three coroutines look as readers, leave, look again as writers, allocate once, and read what was allocated",
  drivers: [],
  async prepare(lab) {
    const { go } = lockOf(lab);
    const allocated: string[] = [];
    const allocator = async (actor: Actor): Promise<void> => {
      let missing = false;
      await go(actor, "read", { inside: () => (missing = allocated.length === 0) });
      if (missing) {
        await go(actor, "write", {
          inside: () => {
            if (allocated.length === 0) allocated.push(actor.name);
          },
        });
      }
      await go(actor, "read", {
        inside: () => {
          if (allocated.length !== 1) throw wrong(`${actor.name} reads, and allocated was: ${allocated.join(", ")}`);
        },
      });
    };
    return { actors: { A: allocator, B: allocator, C: allocator } };
  },
};
