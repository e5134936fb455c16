/** One coroutine goes through a lock once, told to the lock's model step by step. */

import type { Held, WaitOptions } from "@coblock/core";
import type { Actor } from "@coblock/testing";
import type { LockModel, Mode } from "./lock-model.ts";

/** What differs from visit to visit. */
export interface VisitOptions {
  /** Default "write". */
  readonly mode?: Mode;
  readonly signal?: AbortSignal;
  /** What it does inside, between two steps; nothing by default. */
  readonly inside?: () => void;
  /** Done in the same turn as the release, right behind it. */
  readonly afterwards?: () => void;
}

/** Asks, goes in, waits for the schedule, and leaves. `false`: it gave up. */
export async function visit(
  actor: Actor,
  model: LockModel,
  lock: (options: WaitOptions) => Promise<Held>,
  options: VisitOptions = {},
): Promise<boolean> {
  const { mode = "write", signal, inside, afterwards } = options;
  const who = actor.name;
  actor.tells(`asks for the lock (${mode})`);
  model.asks(who, mode);
  const held = await entered(actor, model, lock({ who, signal }), signal);
  if (held === undefined) return false;
  inside?.();
  await actor.pause();
  model.expectSettled();
  actor.tells("releases the lock");
  model.leaves(who, () => held[Symbol.dispose]());
  afterwards?.();
  return true;
}

/** The lock, when it is there; `undefined`: the wait was aborted. */
async function entered(actor: Actor, model: LockModel, lock: Promise<Held>, signal?: AbortSignal): Promise<Held | undefined> {
  try {
    // Not after an `await`, which would hide from the model a lock that calls back at once.
    return await lock.then((held) => {
      actor.tells("has the lock");
      model.enters(actor.name);
      return held;
    });
  } catch (error) {
    if (signal?.aborted !== true || error !== signal.reason) throw error;
    actor.tells("gives up");
    model.refused(actor.name);
    return undefined;
  }
}
