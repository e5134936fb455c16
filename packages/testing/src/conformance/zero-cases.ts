/** Cases on zero writes and discards. */

import { storesWrites } from "./address-cases.ts";
import type { Rig } from "./rig.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const zeroCases: readonly CaseSpec[] = [
  { name: "zero writes, aligned and not, over data and holes", applies: storesWrites, run: (trial) => zeroes(trial, false) },
  { name: "zero writes that may give space back", applies: storesWrites, run: (trial) => zeroes(trial, true) },
  { name: "zeros stay where data is written beside them", applies: storesWrites, run: dataBesideZeroes },
  { name: "zeros over the whole disk, twice, and data again", applies: storesWrites, run: wholeDisk },
  { name: "discards leave old bytes or zeros, as declared, and nothing else", applies: storesWrites, run: discards },
  { name: "space that was given back is used again without old bytes in it", applies: storesWrites, run: reuse },
];

async function zeroes(trial: Trial, mayUnmap: boolean): Promise<void> {
  const rig = await trial.makeFilled();
  const { clusterSize } = trial.subject;
  const { size } = rig.node;
  const ranges = [
    [0, 1],
    [1, 511],
    [100, 1000],
    [clusterSize - 1, 2],
    [clusterSize, clusterSize],
    [clusterSize + 512, clusterSize],
    [2 * clusterSize + 7, 1],
    [size - 1, 1],
    [size - 600, 600],
    [1, size - 2],
  ] as const;
  for (const [offset, length] of ranges) {
    if (offset < 0 || offset + length > size) continue;
    await rig.writePattern(offset, Math.max(0, offset - 3), Math.min(length + 6, size - Math.max(0, offset - 3)));
    await rig.writeZeroes(offset, length, { mayUnmap });
    await rig.expectAll(`zeros of ${length} bytes at ${offset} over data`);
    await rig.writeZeroes(offset, length, { mayUnmap });
    await rig.expectAll(`zeros of ${length} bytes at ${offset} over zeros`);
  }
}

async function dataBesideZeroes(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const { clusterSize } = trial.subject;
  for (const mayUnmap of [false, true]) {
    await rig.writeZeroes(0, 2 * clusterSize, { mayUnmap });
    await rig.writePattern(1, clusterSize - 5, 10);
    await rig.writePattern(2, 512, 1);
    await rig.expectAll("ten bytes over a cluster's edge in zeros");
  }
}

async function wholeDisk(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  for (const mayUnmap of [true, false, true]) {
    await rig.writeZeroes(0, rig.node.size, { mayUnmap });
    await rig.expectAll("the whole disk zeroed");
    await rig.flush();
    await rig.writePattern(3, Math.floor(rig.node.size / 2), 700);
    await rig.expectAll("data in the middle of zeros");
  }
}

async function discards(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const { clusterSize } = trial.subject;
  const { size } = rig.node;
  for (const [offset, length] of [
    [0, clusterSize],
    [clusterSize + 512, clusterSize],
    [512, 512],
    [2 * clusterSize, clusterSize],
    [0, size],
  ] as const) {
    if (offset + length > size) continue;
    await rig.writePattern(offset, offset, length);
    await rig.node.discard(offset, length);
    noteDiscard(rig, offset, length);
    await rig.expectAll(`after a discard of ${length} bytes at ${offset}`);
  }
}

/** What the model learns of a discard; where anything may be read, the range is read and taken as it is. */
export function noteDiscard(rig: Rig, offset: number, length: number): void {
  const reads = rig.subject.discardReads ?? "zero or same";
  if (reads === "zero") return rig.model.zero(offset, length);
  if (reads === "same") return;
  rig.model.attempt(offset, new Uint8Array(length));
  if (reads === "anything") rig.model.attempt(offset, new Uint8Array(length).fill(0xdd));
}

async function reuse(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  const whole = rig.node.size - (rig.node.size % clusterSize);
  for (let round = 0; round < 5; round++) {
    await rig.writePattern(round, 0, whole);
    if (round % 2 === 0) await rig.writeZeroes(0, whole, { mayUnmap: true });
    else {
      await rig.node.discard(0, whole);
      noteDiscard(rig, 0, whole);
    }
    await rig.expectAll(`given back in round ${round}`);
    await rig.flush();
    for (let offset = 0; offset + 512 <= whole; offset += clusterSize) await rig.writePattern(round + 100, offset + (round % 3), 100);
    await rig.expectAll(`a little data in clusters that are new in round ${round}`);
  }
}
