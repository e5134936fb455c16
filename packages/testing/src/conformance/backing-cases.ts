/** Cases on backing files of every length: what shows through, what is copied, and what hides them. */

import { strict as assert } from "node:assert";
import { BlockError, type BlockNode } from "@coblock/core";
import { expectCode, type Rig } from "./rig.ts";
import { expectTruthful } from "./status-cases.ts";
import { patternOf } from "./patterns.ts";
import type { DriverSubject } from "./subject.ts";
import { allSucceed } from "./settle.ts";
import { noteDiscard } from "./zero-cases.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const backingCases: readonly CaseSpec[] = [
  { name: "a backing file shows through, whatever its length", applies: hasBacking, run: showsThrough },
  { name: "writes over a backing file keep what is around them", applies: hasBacking, run: copies },
  { name: "writes at the same time over a backing file keep what is around them", applies: hasBacking, run: copiesTogether },
  { name: "zeros and discards over a backing file never show it", applies: hasBacking, run: hides },
  {
    name: "an image that grows over a longer backing file shows zeros",
    applies: (subject) => hasBacking(subject) && (subject.resizes ?? "none") !== "none",
    run: grows,
  },
  { name: "the backing file itself is never changed", applies: hasBacking, run: unchanged },
];

function hasBacking(subject: DriverSubject): boolean {
  return subject.backing === true && subject.writable !== false;
}

/** Shorter, longer, equal, within a sector, within a cluster, empty. */
function backings({ diskSize, clusterSize }: DriverSubject): Uint8Array[] {
  const lengths = [
    0,
    1,
    clusterSize - 1,
    clusterSize,
    clusterSize + 513,
    2 * clusterSize + Math.floor(clusterSize / 2),
    diskSize - 1,
    diskSize,
    diskSize + 5 * clusterSize,
  ];
  return lengths.map((length) => patternOf(90, 0, length));
}

async function showsThrough(trial: Trial): Promise<void> {
  for (const backing of backings(trial.subject)) {
    const rig = await trial.make({ backing });
    await rig.expectAll(`over ${backing.length} bytes`);
    await expectTruthful(rig);
    await rig.close();
  }
}

async function copies(trial: Trial): Promise<void> {
  const { clusterSize } = trial.subject;
  for (const backing of backings(trial.subject)) {
    const rig = await trial.make({ backing });
    for (const [offset, length] of [
      [3, 1],
      [clusterSize - 1, 2],
      [clusterSize + 600, 512],
      [2 * clusterSize - 512, clusterSize],
      [rig.node.size - 1, 1],
    ] as const) {
      if (offset + length > rig.node.size) continue;
      await rig.writePattern(1, offset, length);
      await rig.expectAll(`${length} bytes at ${offset} over a backing file of ${backing.length} bytes`);
    }
    await expectTruthful(rig);
  }
}

async function copiesTogether(trial: Trial): Promise<void> {
  const { clusterSize, diskSize } = trial.subject;
  const rig = await trial.make({ backing: patternOf(90, 0, diskSize - 700) });
  const writes: Promise<void>[] = [];
  const step = Math.max(64, Math.floor(clusterSize / 5), Math.ceil(diskSize / 1000));
  for (let offset = 10; offset + 20 < diskSize; offset += step) writes.push(rig.writePattern(offset, offset, 20));
  await allSucceed(writes);
  await rig.expectAll("twenty bytes here and there");
}

async function hides(trial: Trial): Promise<void> {
  const { clusterSize, diskSize } = trial.subject;
  for (const mayUnmap of [false, true]) {
    const rig = await trial.make({ backing: patternOf(90, 0, diskSize) });
    for (const [offset, length] of [
      [0, clusterSize],
      [clusterSize + 100, 200],
      [2 * clusterSize - 10, 20],
      [2 * clusterSize, clusterSize],
      [diskSize - 300, 300],
    ] as const) {
      if (offset + length > diskSize) continue;
      await rig.writeZeroes(offset, length, { mayUnmap });
      await rig.expectAll(`zeros of ${length} bytes at ${offset}`);
    }
    await expectTruthful(rig);
    await rig.node.discard(0, diskSize);
    noteDiscard(rig, 0, diskSize);
    await rig.expectAll("after a discard of all");
    await rig.reopen();
    await rig.expectAll("opened again");
  }
}

async function grows(trial: Trial): Promise<void> {
  const { clusterSize, diskSize, sizeUnit = 1 } = trial.subject;
  const rig = await trial.make({ backing: patternOf(90, 0, diskSize + 4 * clusterSize) });
  const size = diskSize + 2 * clusterSize - ((diskSize + 2 * clusterSize) % sizeUnit);
  if (!(await growTo(rig, size))) return;
  await rig.expectAll("after growing");
  await rig.writePattern(1, diskSize - 5, 10);
  await rig.expectAll("ten bytes over the old end");
  await expectTruthful(rig);
}

/** `false`: the driver would rather not, and has changed nothing. */
async function growTo(rig: Rig, size: number): Promise<boolean> {
  try {
    await rig.node.resize(size);
  } catch (error) {
    assert(error instanceof BlockError && error.code !== "IO", `growing fails with ${String(error)}`);
    assert.equal(rig.node.size, rig.model.size, "a refused resize changes the size");
    return false;
  }
  rig.model.resize(size);
  return true;
}

async function unchanged(trial: Trial): Promise<void> {
  const { clusterSize, diskSize } = trial.subject;
  const backing = patternOf(90, 0, diskSize);
  const rig = await trial.make({ backing });
  await rig.writePattern(1, 100, 2 * clusterSize);
  await rig.writeZeroes(clusterSize, 700, { mayUnmap: true });
  await rig.node.discard(0, clusterSize);
  noteDiscard(rig, 0, clusterSize);
  await rig.flush();
  const below = backingOf(rig.node);
  assert(below !== undefined, "an image with a backing file has a child 'backing'");
  await expectCode("READ_ONLY", below.write(0, new Uint8Array(1)), "write to the backing file");
  assert.equal(Buffer.compare(rig.storage.contentOf("test:backing"), backing), 0, "the backing file has changed");
}

/** A filter passes the question on. */
function backingOf(node: BlockNode): BlockNode | undefined {
  const filtered = [...node.children.values()].find(({ role }) => role === "filtered");
  return filtered === undefined ? node.children.get("backing")?.node : backingOf(filtered.node);
}
