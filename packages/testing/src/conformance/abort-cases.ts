/** Cases on signals: they stop waiting, never writing, and leave nothing locked. */

import { strict as assert } from "node:assert";
import { SystemClock, type WaitOptions } from "@coblock/core";
import { storesWrites, stores } from "./address-cases.ts";
import { patternOf } from "./patterns.ts";
import type { Rig } from "./rig.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const abortCases: readonly CaseSpec[] = [
  { name: "a signal that has aborted before stops every request", run: abortedBefore },
  { name: "writes that are aborted at any moment leave old or new sectors, and nothing locked", applies: storesWrites, run: abortedWrites },
  { name: "a read that was aborted no longer touches its buffer", applies: stores, run: abortedReads },
];

class Stop extends Error {}

async function abortedBefore(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const { node } = rig;
  const reason = new Stop("stopped");
  const options: WaitOptions = { signal: AbortSignal.abort(reason) };
  const bytes = new Uint8Array(3000).fill(1);
  const requests: Record<string, () => Promise<void>> = { read: () => node.read(0, new Uint8Array(3000), options) };
  if (trial.subject.writable !== false) {
    requests["write"] = () => node.write(0, bytes, options);
    requests["zero write"] = () => node.writeZeroes(0, 3000, options);
    requests["forced write"] = () => node.write(0, bytes, { ...options, forceUnitAccess: true });
    requests["flush"] = () => node.flush(options);
  }
  for (const [name, request] of Object.entries(requests)) {
    assert.equal(await request().catch((error: unknown) => error), reason, `${name} goes on although its signal has aborted`);
  }
  rig.expectIdle("after requests that were aborted");
}

async function abortedWrites(trial: Trial): Promise<void> {
  const rig = await trial.make();
  const { clusterSize } = trial.subject;
  for (let turns = 0; turns < 24; turns++) {
    const stop = new AbortController();
    const offset = (turns % 4) * 512;
    const changes = [
      { offset, bytes: patternOf(turns, offset, Math.min(2 * clusterSize, rig.node.size - offset)) },
      { offset: Math.floor(rig.node.size / 2), bytes: patternOf(turns, 0, 100) },
    ];
    const requests = changes.map((change) => rig.node.write(change.offset, change.bytes, { signal: stop.signal }));
    await pass(turns);
    stop.abort(new Stop("stopped"));
    const results = await Promise.allSettled(requests);
    for (const [index, result] of results.entries()) note(rig, changes[index], result);
    rig.expectIdle(`aborted after ${turns} turns`);
    await rig.expectAll(`aborted after ${turns} turns`);
    if (turns % 6 === 5) await rig.reopen();
    else if (turns % 6 === 2) await rig.writeZeroes(0, rig.node.size, { mayUnmap: true });
  }
}

function note(
  rig: Rig,
  change: { readonly offset: number; readonly bytes: Uint8Array } | undefined,
  result: PromiseSettledResult<void>,
): void {
  assert(change !== undefined);
  if (result.status === "fulfilled") return rig.model.write(change.offset, change.bytes);
  assert(result.reason instanceof Stop, `an aborted write fails with ${String(result.reason)}`);
  rig.model.attempt(change.offset, change.bytes);
}

async function abortedReads(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  const untouched = new Uint8Array(rig.node.size).fill(0xee);
  for (let turns = 0; turns < 12; turns++) {
    await rig.reopen({ readOnly: true });
    const stop = new AbortController();
    const into = new Uint8Array(rig.node.size);
    const read = rig.node.read(0, into, { signal: stop.signal }).then(
      () => true,
      (error: unknown) => {
        assert(error instanceof Stop, `an aborted read fails with ${String(error)}`);
        into.fill(0xee);
        return false;
      },
    );
    await pass(turns);
    stop.abort(new Stop("stopped"));
    if (await read) rig.model.expect(0, into, "a read that ended before its signal");
    await rig.reopen({ readOnly: true });
    const isUntouched = Buffer.compare(into, untouched) === 0;
    assert((await read) || isUntouched, `a read that was aborted after ${turns} turns went on filling its buffer`);
  }
}

const CLOCK = new SystemClock();

/** Some turns of the microtask queue and, now and then, of the event loop. */
async function pass(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await (turn % 3 === 2 ? CLOCK.yield() : undefined);
}
