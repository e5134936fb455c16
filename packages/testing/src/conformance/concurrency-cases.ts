/** Cases on requests that run at the same time. */

import { type Change, SECTOR_SIZE } from "./disk-model.ts";
import { patternOf } from "./patterns.ts";
import { storesWrites } from "./address-cases.ts";
import type { Rig } from "./rig.ts";
import { allSucceed } from "./settle.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const concurrencyCases: readonly CaseSpec[] = [
  { name: "writes that overlap leave each sector as one of them wrote it", applies: storesWrites, run: overlapping },
  { name: "writes to the sectors of one cluster lose nothing", applies: storesWrites, run: oneCluster },
  { name: "writes to the bytes of one sector lose nothing", applies: storesWrites, run: oneSector },
  { name: "long writes that cross each other end", applies: storesWrites, run: crossing },
  { name: "reads beside writes see each sector as it was or will be", applies: storesWrites, run: readsBesideWrites },
  { name: "zero writes beside writes to the same cluster lose nothing", applies: storesWrites, run: zeroesBesideWrites },
];

async function overlapping(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  const base = clusterSize - (clusterSize % SECTOR_SIZE);
  for (let round = 0; round < 4; round++) {
    const changes = [...Array(8).keys()].map((index): Change => {
      const offset = Math.max(0, base - 3 * SECTOR_SIZE + index * SECTOR_SIZE);
      const length = Math.min(rig.node.size - (rig.node.size % SECTOR_SIZE) - offset, (index + 1) * 2 * SECTOR_SIZE);
      return { offset, bytes: patternOf(round * 8 + index, offset, length) };
    });
    await together(rig, changes);
    await rig.expectAll(`round ${round}`);
  }
}

async function together(rig: Rig, changes: readonly Change[]): Promise<void> {
  await allSucceed(changes.map(({ offset, bytes }) => rig.node.write(offset, bytes)));
  rig.model.writeTogether(changes);
}

async function oneCluster(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  const step = Math.max(SECTOR_SIZE, Math.floor(clusterSize / 32));
  const writes: Promise<void>[] = [];
  for (let offset = clusterSize; offset + step <= Math.min(2 * clusterSize, rig.node.size); offset += 2 * step)
    writes.push(rig.writePattern(offset, offset, step));
  await allSucceed(writes);
  await rig.expectAll("every other sector");
}

async function oneSector(trial: Trial): Promise<void> {
  const rig = await trial.make();
  for (const start of [0, trial.subject.clusterSize - 64]) {
    const bytes = patternOf(start, start, 128);
    await allSucceed([...Array(16).keys()].map((index) => rig.node.write(start + index * 8, bytes.subarray(index * 8, index * 8 + 8))));
    rig.model.write(start, bytes);
  }
  await rig.expectAll("sixteen writers of eight bytes");
}

async function crossing(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const length = rig.node.size - (rig.node.size % SECTOR_SIZE);
  const half = Math.floor(length / 2 / SECTOR_SIZE) * SECTOR_SIZE;
  const ranges = [
    [0, length],
    [0, half],
    [half, length - half],
    [0, length],
  ] as const;
  for (let round = 0; round < 3; round++) {
    await together(
      rig,
      ranges.map(([offset, bytes], index) => ({ offset, bytes: patternOf(round * 4 + index, offset, bytes) })),
    );
    await rig.expectAll(`round ${round}`);
  }
}

async function readsBesideWrites(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  const length = Math.min(3 * clusterSize, rig.node.size - (rig.node.size % SECTOR_SIZE));
  await rig.writePattern(1, 0, length);
  for (let round = 2; round < 6; round++) {
    const before = rig.model.bytes.slice(0, length);
    const after = patternOf(round, 0, length);
    const write = rig.node.write(0, after);
    const seen = new Uint8Array(length);
    await allSucceed([write, rig.node.read(0, seen)]);
    rig.model.attempt(0, after);
    rig.model.expect(0, seen, `read beside the write of round ${round}`);
    rig.model.write(0, before);
    rig.model.write(0, after);
    await rig.expectAll(`after round ${round}`);
  }
}

async function zeroesBesideWrites(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  const sector = Math.min(SECTOR_SIZE, Math.floor(clusterSize / 4));
  for (let round = 0; round < 6; round++) {
    const start = (round % 2) * clusterSize;
    if (round > 2) await rig.writeZeroes(start, Math.min(clusterSize, rig.node.size - start), { mayUnmap: round % 2 === 0 });
    const at = start + sector;
    await allSucceed([
      rig.node.writeZeroes(start + 1, sector - 1, { mayUnmap: true }),
      rig.writePattern(round, at, sector),
      rig.node.writeZeroes(at + sector, sector, { mayUnmap: true }),
    ]);
    rig.model.zero(start + 1, sector - 1);
    rig.model.zero(at + sector, sector);
    await rig.expectAll(`round ${round}`);
  }
}
