/** Cases on what is still there: after closing, and after a power cut. */

import { strict as assert } from "node:assert";
import { storesWrites } from "./address-cases.ts";
import { patternOf } from "./patterns.ts";
import { Rig } from "./rig.ts";
import type { DriverSubject } from "./subject.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const durabilityCases: readonly CaseSpec[] = [
  { name: "everything is there after closing and opening", applies: persists, run: reopens },
  { name: "a zero write is there after closing and opening", applies: persists, run: zeroesStay },
  { name: "what was flushed survives a power cut", applies: survives, run: flushed },
  { name: "a forced write survives a power cut, and so do zeros", applies: survives, run: forced },
  { name: "a power cut at any moment leaves each sector old or new, and metadata in order", applies: survives, run: cutAnywhere },
  { name: "closing flushes", applies: survives, run: closeFlushes },
];

function persists(subject: DriverSubject): boolean {
  return storesWrites(subject) && subject.persistent !== false;
}

function survives(subject: DriverSubject): boolean {
  return persists(subject) && subject.overTestStorage !== false;
}

async function reopens(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  for (let round = 0; round < 3; round++) {
    await rig.reopen({ readOnly: round === 1 });
    await rig.expectAll(`opened for the ${round + 2}. time`);
    await rig.expectClean(`opened for the ${round + 2}. time`);
    if (round !== 1) await rig.writePattern(round, trial.subject.clusterSize * round + 3, 5000 % rig.node.size);
  }
}

async function zeroesStay(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  for (const mayUnmap of [false, true]) {
    await rig.writePattern(1, 0, rig.node.size);
    await rig.reopen();
    await rig.writeZeroes(trial.subject.clusterSize, Math.min(trial.subject.clusterSize, rig.node.size - trial.subject.clusterSize), {
      mayUnmap,
    });
    await rig.reopen();
    await rig.expectAll("opened again");
  }
}

/** The image as a power cut now would leave it, open for writing. */
async function afterPowerCut(trial: Trial, rig: Rig): Promise<Rig> {
  const cut = trial.adopt(Rig.on(rig.storage.afterPowerCut(), rig, rig.model.afterPowerCut()));
  await cut.open();
  return cut;
}

async function flushed(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  await rig.writePattern(1, 3, 3 * trial.subject.clusterSize);
  await rig.writeZeroes(trial.subject.clusterSize, 600, { mayUnmap: true });
  await rig.flush();
  const cut = await afterPowerCut(trial, rig);
  await cut.expectAll("after the power cut");
  await cut.writePattern(2, 1, 1000);
  await cut.flush();
}

async function forced(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const bytes = patternOf(1, 100, trial.subject.clusterSize);
  await rig.node.write(100, bytes, { forceUnitAccess: true });
  rig.model.write(100, bytes);
  await rig.node.writeZeroes(300, 600, { forceUnitAccess: true });
  rig.model.zero(300, 600);
  rig.model.flushed();
  await (await afterPowerCut(trial, rig)).expectAll("after the power cut");
}

async function cutAnywhere(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const { clusterSize } = trial.subject;
  const { size } = rig.node;
  for (let round = 0; round < 12; round++) {
    const offset = Math.floor(((round * 0.37) % 1) * (size - 2000));
    if (round % 4 === 3) await rig.writeZeroes(offset, Math.min(2 * clusterSize, size - offset), { mayUnmap: round % 8 === 3 });
    else await rig.writePattern(round, offset, Math.min(clusterSize + 100, size - offset));
    if (round % 5 === 4) await rig.flush();
    const cut = await afterPowerCut(trial, rig);
    await cut.expectAll(`power cut after step ${round}`);
    await cut.close();
  }
}

async function closeFlushes(trial: Trial): Promise<void> {
  const rig = await trial.make();
  await rig.writePattern(1, 0, rig.node.size);
  await rig.close();
  rig.model.flushed();
  const cut = await afterPowerCut(trial, rig);
  await cut.expectAll("power cut after closing");
  assert.notEqual((await cut.node.info()).dirty, true, "an image that was closed is marked unclean");
}
