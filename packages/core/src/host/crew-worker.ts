/** A thread that does jobs on units until it is told to stop, and returns to its event loop, which is empty, only then. */

import { parentPort, workerData } from "node:worker_threads";

import { CodecLibrary } from "./codec-library.ts";
import { JobRing } from "./crew-ring.ts";
import { callHere, CODEC_TASKS, type CodecTask, loadUnitCodecs, type UnitCodecs } from "./unit-codec.ts";

async function work(ring: JobRing): Promise<void> {
  try {
    const library = await CodecLibrary.load(null);
    if (library === undefined) throw new Error("a thread cannot load what its process has loaded");
    const codecs = await loadUnitCodecs(library);
    doJobs(
      ring,
      CODEC_TASKS.map((task) => codecs[task]),
    );
  } finally {
    ring.hasStopped();
  }
}

function doJobs(ring: JobRing, begins: readonly UnitCodecs[CodecTask][]): void {
  /** What it says does not matter: who hears it looks. */
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is for windows
  const tell = (): void => parentPort?.postMessage(0);
  tell();
  while (!ring.isStopping) {
    const taken = ring.take();
    if (taken === undefined) {
      ring.waitForJob();
      continue;
    }
    const { slot, job } = taken;
    const begin = begins[job.task];
    if (begin === undefined) throw new Error(`a thread cannot do task ${job.task}`);
    if (ring.finish(slot, callHere(begin(job.places)))) tell();
  }
}

void work(new JobRing(workerData as SharedArrayBuffer));
