/** Cases on images that are opened read-only, or cannot be written at all. */

import { strict as assert } from "node:assert";
import { expectCode, type Rig } from "./rig.ts";
import { stores } from "./address-cases.ts";
import { allSucceed } from "./settle.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const readOnlyCases: readonly CaseSpec[] = [
  { name: "refuses every change of an image that is open read-only", run: refusesChanges },
  {
    name: "leaves the files of an image that is open read-only as they are",
    applies: (subject) => subject.overTestStorage !== false,
    run: leavesFiles,
  },
  { name: "serves many reads at a time", applies: stores, run: parallelReads },
];

async function refusesChanges(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled({ readOnly: true });
  const { node } = rig;
  assert.equal(node.readOnly, true);
  await expectCode("READ_ONLY", node.write(0, new Uint8Array(512)), "write");
  await expectCode("READ_ONLY", node.writeZeroes(0, 512), "zero write");
  await expectCode("READ_ONLY", node.discard(0, node.size), "discard");
  await expectCode("READ_ONLY", node.writeCompressed(0, new Uint8Array(512)), "compressed write");
  await expectCode("READ_ONLY", node.resize(node.size + 512 * 1024), "resize");
  await node.flush();
  await rig.expectAll("after the refusals");
}

async function leavesFiles(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled({ readOnly: true });
  await rig.close();
  const before = filesOf(rig);
  await rig.open({ readOnly: true });
  await rig.expectAll("read-only");
  await rig.extents();
  await rig.expectClean("read-only");
  await rig.close();
  const after = filesOf(rig);
  for (const [name, bytes] of before) assert.equal(Buffer.compare(bytes, after.get(name) ?? new Uint8Array(0)), 0, `${name} has changed`);
}

function filesOf({ storage }: Rig): Map<string, Uint8Array> {
  return new Map(storage.fileNames.map((name) => [name, storage.contentOf(name)]));
}

async function parallelReads(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled({ readOnly: true });
  await rig.reopen({ readOnly: true });
  const { clusterSize } = trial.subject;
  const reads: Promise<void>[] = [];
  for (let offset = 0; offset < rig.node.size; offset += Math.ceil(clusterSize / 3)) {
    reads.push(rig.expectRange(offset, Math.min(clusterSize, rig.node.size - offset), `read at ${offset}`));
  }
  await allSucceed(reads);
}
