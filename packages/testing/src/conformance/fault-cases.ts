/** Cases on storage that fails: every request ends, says so, and never answers wrong afterwards. */

import { strict as assert } from "node:assert";
import { BlockError } from "@coblock/core";
import type { StorageOperationKind } from "../storage/operation.ts";
import type { StorageFault } from "../storage/storage-fault.ts";
import { storesWrites } from "./address-cases.ts";
import type { DiskModel } from "./disk-model.ts";
import { patternOf } from "./patterns.ts";
import type { Rig } from "./rig.ts";
import type { DriverSubject } from "./subject.ts";
import type { CaseSpec, Trial } from "./trial.ts";

const FAILING: readonly StorageOperationKind[] = ["read", "write", "write zeroes", "discard", "flush"];
/** Failures are tried at the first, the second, … operation until none is met any more, at most so often. */
const MOST_FAILURES = 80;
/** Where only some are tried: at every third. */
const SAMPLE_STEP = 3;

export const faultCases: readonly CaseSpec[] = [
  ...FAILING.map((kind): CaseSpec => ({
    name: `one failed ${kind} of the storage, at any moment`,
    applies: fails,
    run: (trial) => everyFailure(trial, kind, 1),
  })),
  { name: "storage that fails from some write on", applies: fails, run: (trial) => everyFailure(trial, "write", Infinity) },
  { name: "storage that fails while the image is opened", applies: (subject) => subject.overTestStorage !== false, run: failsToOpen },
];

function fails(subject: DriverSubject): boolean {
  return storesWrites(subject) && subject.overTestStorage !== false && subject.persistent !== false;
}

async function everyFailure(trial: Trial, kind: StorageOperationKind, times: number): Promise<void> {
  const { sampled = false } = trial.subject;
  const step = sampled ? SAMPLE_STEP : 1;
  for (let after = sampled ? firstSampled(trial) : 0; after < MOST_FAILURES; after += step) {
    const rig = await trial.make({
      seed: after,
      ...(trial.subject.backing === true ? { backing: patternOf(90, 0, trial.subject.diskSize - 300) } : {}),
    });
    await rig.writePattern(1, 0, 3 * trial.subject.clusterSize);
    await rig.flush();
    await rig.reopen();
    const fault = rig.storage.fail((operation) => operation.kind === kind && operation.file.startsWith("test:image"), { after, times });
    const hits = await runBesideFault(rig, fault);
    await trial.finish(rig);
    if (hits === 0) return;
  }
}

/** Another one by subject and by mode. */
function firstSampled({ subject: { name }, mode }: Trial): number {
  let sum = 0;
  for (const byte of Buffer.from(`${name} ${mode}`)) sum += byte;
  return sum % SAMPLE_STEP;
}

/** Answers how often the fault was met. */
async function runBesideFault(rig: Rig, fault: StorageFault): Promise<number> {
  const failed = await someRequests(rig);
  rig.expectIdle("after a failure");
  await rig.expectReadable("after a failure");
  fault[Symbol.dispose]();
  for (const again of failed) await again();
  await rig.expectReadable("when the storage works again");
  rig.expectIdle("when the storage works again");
  const { node } = rig;
  const closed = await rig.close().then(
    () => true,
    (error: unknown) => assertClear(error),
  );
  if (!closed) rig.model = rig.model.afterPowerCut();
  assert.equal(rig.graph.inspect().nodes.length, 0, `nodes stay open after ${node.name} has failed to close`);
  assert.equal(rig.storage.openFiles, 0, "files stay open after a failure to close");
  await rig.open();
  await rig.expectAll("opened again after a failure");
  await rig.expectClean("opened again after a failure");
  await rig.writePattern(7, 100, 600);
  await rig.flush();
  return fault.hits;
}

interface Step {
  run(): Promise<void>;
  /** What the model learns. */
  note(model: DiskModel, succeeded: boolean): void;
}

/** Writes, zeros, flushes, some at the same time; answers how to do again what failed. */
async function someRequests(rig: Rig): Promise<(() => Promise<void>)[]> {
  const { clusterSize, diskSize } = rig.subject;
  const rounds: readonly (readonly Step[])[] = [
    [write(rig, 2, clusterSize - 5, 10)],
    [write(rig, 3, 3 * clusterSize + 100, clusterSize), zeroes(rig, 0, clusterSize), write(rig, 4, clusterSize + 20, 500)],
    [flush(rig)],
    [zeroes(rig, clusterSize, 2 * clusterSize), write(rig, 5, diskSize - 700, 700)],
    [flush(rig)],
    [write(rig, 6, 0, 2 * clusterSize), write(rig, 7, 2 * clusterSize, clusterSize)],
  ];
  const failed: (() => Promise<void>)[] = [];
  for (const steps of rounds) {
    const results = await Promise.allSettled(steps.map((step) => step.run()));
    for (const [index, step] of steps.entries()) {
      const result = results[index];
      const succeeded = result?.status === "fulfilled";
      if (result?.status === "rejected") assertClear(result.reason);
      step.note(rig.model, succeeded);
      if (!succeeded) failed.push(() => retry(rig, step));
    }
  }
  return failed;
}

async function retry(rig: Rig, step: Step): Promise<void> {
  const succeeded = await step.run().then(
    () => true,
    (error: unknown) => assertClear(error),
  );
  step.note(rig.model, succeeded);
}

function write(rig: Rig, tag: number, offset: number, length: number): Step {
  const bytes = patternOf(tag, offset, length);
  return {
    run: () => rig.node.write(offset, bytes),
    note: (model, succeeded) => (succeeded ? model.write(offset, bytes) : model.attempt(offset, bytes)),
  };
}

function zeroes(rig: Rig, offset: number, length: number): Step {
  return {
    run: () => rig.node.writeZeroes(offset, length, { mayUnmap: true }),
    note: (model, succeeded) => (succeeded ? model.zero(offset, length) : model.attempt(offset, new Uint8Array(length))),
  };
}

function flush(rig: Rig): Step {
  return {
    run: () => rig.node.flush(),
    note: (model, succeeded) => (succeeded ? model.flushed() : undefined),
  };
}

/** A failure that the caller can act upon: never an assertion, never a type error. */
function assertClear(error: unknown): false {
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  for (const one of errors) assert(one instanceof BlockError, `a failed request throws ${one instanceof Error ? one.stack : String(one)}`);
  return false;
}

async function failsToOpen(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  await rig.close();
  for (let after = 0; after < MOST_FAILURES; after++) {
    const fault = rig.storage.fail(() => true, { after, times: 1 });
    const opened = await rig.open({ readOnly: after % 2 === 0 }).then(
      () => true,
      (error: unknown) => assertClear(error),
    );
    fault[Symbol.dispose]();
    if (opened) return;
    assert.equal(rig.graph.inspect().nodes.length, 0, `an open that failed at operation ${after} leaves nodes`);
    assert.equal(rig.storage.openFiles, 0, `an open that failed at operation ${after} leaves files open`);
  }
}
