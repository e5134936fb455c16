/** Cases on block status: it covers the disk, and never calls zero what is not. */

import { strict as assert } from "node:assert";
import { isZero, type BlockStatus } from "@coblock/core";
import { storesWrites, stores } from "./address-cases.ts";
import { expectCode, type Rig } from "./rig.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const statusCases: readonly CaseSpec[] = [
  { name: "status covers the disk without gaps, and what it calls zero reads as zeros", applies: stores, run: truthful },
  { name: "status of any part starts and ends where it was asked to", applies: stores, run: parts },
  { name: "status follows writes, zeros and discards", applies: storesWrites, run: follows },
];

async function truthful(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  await expectTruthful(rig);
  await rig.reopen({ readOnly: true });
  await expectTruthful(rig);
}

/** Through the chain and of the node alone. */
export async function expectTruthful(rig: Rig): Promise<void> {
  const bytes = new Uint8Array(rig.node.size);
  await rig.node.read(0, bytes);
  const extents = await rig.extents();
  expectPartition(extents, 0, rig.node.size);
  expectPartition(await rig.extents(false), 0, rig.node.size);
  for (const { offset, length, kind } of extents) {
    if (kind !== "zero" && kind !== "unallocated") continue;
    assert(isZero(bytes.subarray(offset, offset + length)), `bytes ${offset} to ${offset + length} are called ${kind} and are not zeros`);
    assert(
      await rig.node.readsAsZero(offset, length),
      `bytes ${offset} to ${offset + length} are called ${kind}, but readsAsZero denies it`,
    );
  }
}

function expectPartition(extents: readonly BlockStatus[], start: number, end: number): void {
  let at = start;
  for (const { offset, length } of extents) {
    assert.equal(offset, at, "extents leave a gap or overlap");
    assert(length > 0, `the extent at ${offset} is empty`);
    at += length;
  }
  assert.equal(at, end, "extents end elsewhere than the range");
}

async function parts(trial: Trial): Promise<void> {
  const { node } = await trial.makeFilled();
  const { clusterSize } = trial.subject;
  for (const [offset, length] of [
    [0, 1],
    [1, clusterSize],
    [clusterSize - 1, 2],
    [clusterSize + 5, 3 * clusterSize],
    [node.size - 1, 1],
    [node.size, 0],
    [7, 0],
  ] as const) {
    if (offset + length > node.size) continue;
    const extents: BlockStatus[] = [];
    for await (const extent of node.extents({ offset, length })) extents.push(extent);
    expectPartition(extents, offset, offset + length);
  }
  const tooLong = node.extents({ offset: 0, length: node.size + 1 })[Symbol.asyncIterator]();
  await expectCode("OUT_OF_RANGE", tooLong.next(), "extents past the end");
}

async function follows(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  await expectTruthful(rig);
  await rig.writePattern(1, clusterSize - 3, clusterSize);
  await expectTruthful(rig);
  await rig.writeZeroes(clusterSize, Math.min(clusterSize, rig.node.size - clusterSize), { mayUnmap: true });
  await expectTruthful(rig);
  await rig.writeZeroes(0, 100);
  await expectTruthful(rig);
  await rig.writePattern(2, Math.floor(1.5 * clusterSize), 1);
  await expectTruthful(rig);
}
