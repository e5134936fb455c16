/** Hazard: the coroutine that clears NEED_CHECK runs beside writes, during a drain, after close, while others hold the lock. */

import { rawDriver } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import { type Actor, type Lab, type LabDisk, RunFailure, type Scenario } from "@coblock/testing";
import { CLUSTER, hasNeedCheck, qedDisk, TABLE_SPAN } from "./qed-images.ts";

const DRIVERS: Scenario["drivers"] = [qedDriver, rawDriver];
/** Milliseconds after which the mark goes. */
const DELAY_MS = 5000;

/** Time moves on, at any moment. */
async function timePasses(lab: Lab, actor: Actor): Promise<void> {
  for (let round = 0; round < 2; round++) {
    await actor.pause();
    actor.tells(`${DELAY_MS} ms pass`);
    lab.clock.elapse(DELAY_MS);
  }
}

function expectClean(lab: Lab, when: string): void {
  if (hasNeedCheck(lab)) throw new RunFailure("wrong", `${when}: NEED_CHECK is set`);
}

const qedTimerBesideWrites: Scenario = {
  name: "qed-timer-beside-writes",
  about: "the time to clear NEED_CHECK comes beside an allocating write and a read that has to load a table",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { cachedTables: 1, filled: [0, TABLE_SPAN] });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, CLUSTER, 512);
          await actor.write(disk, 2 * CLUSTER, 512);
        },
        B: (actor) => timePasses(lab, actor),
        C: (actor) => actor.read(disk, TABLE_SPAN, 512),
      },
    };
  },
};

const qedTimerDrain: Scenario = {
  name: "qed-timer-drain",
  about: "the time to clear NEED_CHECK comes before, during and after a drain, which clears it itself and keeps everything quiet",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0] });
    const drain = async (actor: Actor): Promise<void> => {
      await using _drained = await disk.node.drain();
      expectClean(lab, "drained");
      const { inFlight } = lab.storage;
      await actor.pause();
      expectClean(lab, "still drained");
      const busy = [...inFlight, ...lab.storage.inFlight];
      if (busy.length > 0) throw new RunFailure("wrong", `drained, and there is I/O: ${busy.join(", ")}`);
    };
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER, 512),
        B: (actor) => timePasses(lab, actor),
        C: (actor) => actor.does("drain", () => drain(actor)),
      },
    };
  },
};

async function writeAndClose(actor: Actor, lab: Lab, disk: LabDisk): Promise<void> {
  await actor.write(disk, CLUSTER, 512);
  await actor.does("close", () => disk.node[Symbol.asyncDispose]());
  expectClean(lab, "closed");
}

const qedTimerClose: Scenario = {
  name: "qed-timer-close",
  about: "the time to clear NEED_CHECK comes before, while and after the image is closed",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { filled: [0] });
    return { actors: { A: (actor) => writeAndClose(actor, lab, disk), B: (actor) => timePasses(lab, actor) } };
  },
};

export const QED_TIMERS: readonly Scenario[] = [qedTimerBesideWrites, qedTimerDrain, qedTimerClose];
