/** Cases on images that change their size. */

import { strict as assert } from "node:assert";
import { storesWrites } from "./address-cases.ts";
import { expectCode, Rig } from "./rig.ts";
import type { DriverSubject } from "./subject.ts";
import { allSucceed } from "./settle.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const resizeCases: readonly CaseSpec[] = [
  { name: "refuses to shrink unless that is asked for", applies: grows, run: refuses },
  { name: "grows: old bytes stay, new bytes are zeros", applies: grows, run: growing },
  {
    name: "a new size that was flushed survives a power cut",
    applies: (subject) => grows(subject) && subject.overTestStorage !== false,
    run: survives,
  },
  {
    name: "shrinks, and grows again with zeros",
    applies: (subject) => storesWrites(subject) && subject.resizes === "grow and shrink",
    run: shrinking,
  },
  { name: "grows while requests come in", applies: grows, run: besideRequests },
  {
    name: "says that it cannot resize",
    applies: (subject) => subject.writable !== false && (subject.resizes ?? "none") === "none",
    run: cannot,
  },
];

function grows(subject: DriverSubject): boolean {
  return storesWrites(subject) && (subject.resizes === "grow" || subject.resizes === "grow and shrink");
}

function sizesAbove({ diskSize, clusterSize, sizeUnit = 1 }: DriverSubject): number[] {
  const fits = (size: number): number => size + ((sizeUnit - (size % sizeUnit)) % sizeUnit);
  return [diskSize + sizeUnit, diskSize + 2 * clusterSize, 4 * diskSize + 1].map(fits);
}

async function resize(rig: Rig, size: number, shrink = false): Promise<void> {
  await rig.node.resize(size, { shrink });
  rig.model.resize(size);
  assert.equal(rig.node.size, size);
}

async function refuses(trial: Trial): Promise<void> {
  const rig = await trial.make();
  await expectCode("INVALID_OPTION", rig.node.resize(rig.node.size - (trial.subject.sizeUnit ?? 1)), "shrinking");
  await expectCode("INVALID_OPTION", rig.node.resize(-1), "a negative size");
  await expectCode("INVALID_OPTION", rig.node.resize(0.5), "half a byte");
  assert.equal(rig.node.size, trial.subject.diskSize);
}

async function growing(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  await rig.writePattern(1, rig.node.size - 10, 10);
  for (const size of sizesAbove(trial.subject)) {
    const oldSize = rig.node.size;
    await resize(rig, size);
    await rig.expectAll(`grown to ${size} bytes`);
    await rig.writePattern(2, oldSize - 1, 2);
    await rig.writePattern(3, size - 1, 1);
    await rig.expectAll(`written after growing to ${size} bytes`);
  }
  await rig.reopen();
  assert.equal(rig.node.size, rig.model.size);
}

async function survives(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const [size = 0] = sizesAbove(trial.subject);
  await resize(rig, size);
  await rig.flush();
  const cut = trial.adopt(Rig.on(rig.storage.afterPowerCut(), rig, rig.model.afterPowerCut()));
  await cut.open();
  assert.equal(cut.node.size, size);
}

async function shrinking(trial: Trial): Promise<void> {
  const { sizeUnit = 1, clusterSize } = trial.subject;
  const rig = await trial.makeFilled();
  const { size } = rig.node;
  await rig.writePattern(1, 0, size);
  for (const smaller of [size - sizeUnit, 2 * clusterSize, clusterSize - (clusterSize % sizeUnit) - sizeUnit, 0]) {
    if (smaller < 0 || smaller >= rig.node.size) continue;
    await resize(rig, smaller, true);
    await rig.expectAll(`shrunk to ${smaller} bytes`);
    await resize(rig, smaller + clusterSize - (clusterSize % sizeUnit));
    await rig.expectAll(`grown again from ${smaller} bytes`);
  }
}

async function besideRequests(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const { diskSize, clusterSize } = trial.subject;
  const [, size = 0] = sizesAbove(trial.subject);
  const offset = Math.max(0, diskSize - 2 * clusterSize);
  const length = diskSize - offset;
  const first = rig.writePattern(1, offset, length);
  const resized = rig.node.resize(size);
  const reading = rig.node.read(offset, new Uint8Array(length));
  await allSucceed([first, resized, reading]);
  rig.model.resize(size);
  await rig.expectAll("after growing beside requests");
}

async function cannot(trial: Trial): Promise<void> {
  const rig = await trial.make();
  await expectCode(["UNSUPPORTED_FEATURE", "NOT_ALLOWED"], rig.node.resize(rig.node.size + (trial.subject.sizeUnit ?? 1)), "resize");
}
