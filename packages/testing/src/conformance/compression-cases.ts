/** Cases on compressed writes. */

import { SeededRandom } from "../seeded-random.ts";
import { patternOf } from "./patterns.ts";
import { storesWrites } from "./address-cases.ts";
import { expectTruthful } from "./status-cases.ts";
import type { Rig } from "./rig.ts";
import type { DriverSubject } from "./subject.ts";
import { allSucceed } from "./settle.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const compressionCases: readonly CaseSpec[] = [
  { name: "compressed writes read back, in part and in whole", applies: compresses, run: readsBack },
  { name: "plain writes, zeros and compressed writes over compressed clusters", applies: compresses, run: overwrites },
  { name: "compressed writes at the same time", applies: compresses, run: together },
  { name: "a compressed write never changes what is beside it", applies: storesWrites, run: anyLength },
];

function compresses(subject: DriverSubject): boolean {
  return storesWrites(subject) && subject.compresses === true;
}

async function writeCompressed(rig: Rig, offset: number, bytes: Uint8Array): Promise<void> {
  await rig.node.writeCompressed(offset, bytes);
  rig.model.write(offset, bytes);
}

/** Every whole cluster and the end of the disk; every third one does not compress. */
async function fill(rig: Rig, tag: number): Promise<void> {
  const { clusterSize } = rig.subject;
  for (let offset = 0; offset < rig.node.size; offset += clusterSize) {
    const length = Math.min(clusterSize, rig.node.size - offset);
    const hard = (offset / clusterSize) % 3 === 2;
    await writeCompressed(rig, offset, hard ? new SeededRandom(tag + offset).bytes(length) : patternOf(tag, offset, length));
  }
}

async function readsBack(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  await fill(rig, 1);
  await rig.expectAll("compressed");
  for (const [offset, length] of [
    [0, 1],
    [clusterSize - 1, 2],
    [5, clusterSize],
    [clusterSize, clusterSize],
  ] as const)
    await rig.expectRange(offset, length, `${length} bytes at ${offset}`);
  await allSucceed([...Array(8).keys()].map((index) => rig.expectRange(index * 100, 100, "reads of one unit")));
  await expectTruthful(rig);
  await rig.reopen();
  await rig.expectAll("opened again");
}

async function overwrites(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  await fill(rig, 1);
  await rig.writePattern(2, clusterSize - 10, 20);
  await rig.writeZeroes(100, 300, { mayUnmap: true });
  await rig.expectAll("parts overwritten");
  await fill(rig, 3);
  await rig.flush();
  await rig.writeZeroes(clusterSize, Math.min(clusterSize, rig.node.size - clusterSize), { mayUnmap: true });
  await rig.flush();
  await fill(rig, 4);
  await rig.expectAll("compressed again and again");
}

async function together(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  for (let round = 0; round < 3; round++) {
    const requests: Promise<void>[] = [];
    for (let offset = 0; offset + clusterSize <= rig.node.size; offset += clusterSize)
      requests.push(writeCompressed(rig, offset, patternOf(round, offset, clusterSize)));
    await allSucceed(requests);
    await rig.expectAll(`round ${round}`);
  }
}

async function anyLength(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const { clusterSize } = trial.subject;
  for (const [offset, length] of [
    [0, 512],
    [clusterSize, clusterSize - 512],
    [100, 1],
    [0, 2 * clusterSize],
    [clusterSize + 7, clusterSize],
  ] as const) {
    if (offset + length > rig.node.size) continue;
    await writeCompressed(rig, offset, patternOf(5, offset, length));
    await rig.expectAll(`a compressed write of ${length} bytes at ${offset}`);
  }
}
