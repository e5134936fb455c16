/** Cases on draining and closing, with requests in flight and without. */

import { strict as assert } from "node:assert";
import { BlockError } from "@coblock/core";
import { storesWrites, writes } from "./address-cases.ts";
import { patternOf } from "./patterns.ts";
import { expectCode } from "./rig.ts";
import { allSucceed } from "./settle.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const closingCases: readonly CaseSpec[] = [
  { name: "closes once, however often it is asked to, and is closed then", run: closesOnce },
  { name: "closing waits for requests in flight", applies: storesWrites, run: closesBeside },
  { name: "a drained image has no request in flight, and lets them go on afterwards", applies: storesWrites, run: drains },
  {
    name: "an image that was only opened is left as it was",
    applies: (subject) => writes(subject) && subject.overTestStorage !== false,
    run: opensAndCloses,
  },
];

async function closesOnce(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const { node } = rig;
  await rig.close();
  await node[Symbol.asyncDispose]();
  await expectCode("CLOSED", node.read(0, new Uint8Array(1)), "read");
  await expectCode("CLOSED", node.flush(), "flush");
  await expectCode("CLOSED", node.drain(), "drain");
  if (writes(trial.subject)) await expectCode("CLOSED", node.write(0, new Uint8Array(1)), "write");
  assert.equal(rig.graph.node(node.name), undefined);
}

async function closesBeside(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  const changes = [...Array(6).keys()].map((index) => ({
    offset: index * 700,
    bytes: patternOf(index, index * 700, Math.min(700, clusterSize)),
  }));
  const requests = changes.map(({ offset, bytes }) => rig.node.write(offset, bytes));
  const closing = rig.close();
  const results = await Promise.allSettled(requests);
  await closing;
  for (const [index, result] of results.entries()) {
    const change = changes[index];
    assert(change !== undefined);
    if (result.status === "fulfilled") rig.model.write(change.offset, change.bytes);
    else
      assert(
        result.reason instanceof BlockError && result.reason.code === "CLOSED",
        `a request beside closing fails with ${String(result.reason)}`,
      );
  }
  if (trial.subject.persistent === false) return;
  await rig.open();
  await rig.expectAll("what was written beside closing");
}

async function drains(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const before = [...Array(5).keys()].map((index) => rig.writePattern(index, index * 600, 600));
  const drained = await rig.node.drain();
  rig.expectRequests(0, "drained");
  const ended: number[] = [];
  const after = [...Array(5).keys()].map((index) => rig.writePattern(index + 10, index * 600 + 3, 600).then(() => ended.push(index)));
  const bytes = patternOf(30, 5000, 100);
  await drained.write(5000, bytes);
  rig.model.write(5000, bytes);
  const seen = new Uint8Array(100);
  await drained.read(5000, seen);
  assert.equal(Buffer.compare(seen, bytes), 0, "the drainer reads what it wrote");
  await drained.flush();
  assert.deepEqual(ended, [], "a request went through while the node was drained");
  await drained[Symbol.asyncDispose]();
  await drained[Symbol.asyncDispose]();
  await allSucceed([...before, ...after]);
  await rig.expectAll("after draining");
}

async function opensAndCloses(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  await rig.close();
  rig.storage.clearLog();
  await rig.open();
  await rig.node.read(0, new Uint8Array(1));
  await rig.close();
  const changes = rig.storage.log.filter(
    ({ kind }) => kind === "write" || kind === "write zeroes" || kind === "discard" || kind === "resize",
  );
  assert.deepEqual(changes, [], "opening and reading has written");
}
