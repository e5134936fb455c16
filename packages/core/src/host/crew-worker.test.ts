/** Real threads, which load their code through tsx here. */

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { SystemClock } from "../coroutine/system-clock.ts";
import { CodecLibrary } from "./codec-library.ts";
import { Crew } from "./crew.ts";
import type { Job } from "./crew-ring.ts";
import { callHere, CODEC_TASKS, type CodecTask, loadUnitCodecs, NO_ROOM } from "./unit-codec.ts";

/** A thread does not take over what makes TypeScript of a program's files. */
const WORKER = `require("tsx/cjs"); require(${JSON.stringify(fileURLToPath(new URL("./crew-worker.ts", import.meta.url)))});`;
const library = await CodecLibrary.load(null);
const codecs = library === undefined ? {} : await loadUnitCodecs(library);
const hasAll = CODEC_TASKS.every((task) => codecs[task] !== undefined);
const UNIT = 64 * 1024;

function perform({ task, places }: Job): number {
  const begin = codecs[CODEC_TASKS[task] ?? "inflate"];
  return begin === undefined ? 0 : callHere(begin(places));
}

function textOf(index: number): Uint8Array {
  const line = `unit ${index}, and what it holds is not to be taken for that of another\n`;
  return Buffer.from(line.repeat(Math.ceil(UNIT / line.length))).subarray(0, UNIT);
}

async function readyCrew(threads: number, helps: boolean): Promise<{ readonly crew: Crew; readonly started: readonly Worker[] }> {
  const started: Worker[] = [];
  const start = (workerData: SharedArrayBuffer): Worker => {
    const worker = new Worker(WORKER, { workerData, eval: true });
    started.push(worker);
    return worker;
  };
  const clock = new SystemClock();
  const crew = new Crew({ threads, start, perform, helps, clock });
  await Promise.all(started.map((worker) => once(worker, "message")));
  return { crew, started };
}

function run(crew: Crew, task: CodecTask, from: Uint8Array, into: Uint8Array): Promise<number> {
  const address = (bytes: Uint8Array): bigint => library?.addressOf(bytes) ?? 0n;
  const places = { from: address(from), fromLength: from.length, into: address(into), intoLength: into.length };
  return crew.run({ task: CODEC_TASKS.indexOf(task), places }, [from, into]);
}

describe.runIf(hasAll).each([
  { threads: 1, helps: true },
  { threads: 3, helps: false },
])("$threads threads (this one helps: $helps)", ({ threads, helps }) => {
  let crew: Crew;
  beforeAll(async () => void ({ crew } = await readyCrew(threads, helps)));

  test.each([
    ["deflate", "inflate"],
    ["zstdCompress", "zstdDecompress"],
  ] as const)("%s and %s give back every unit of a long row", async (compress, decompress) => {
    const units = Array.from({ length: 400 }, (_, index) => textOf(index));
    const areRight = await Promise.all(
      units.map(async (unit) => {
        const stored = new Uint8Array(UNIT - 1);
        const length = await run(crew, compress, unit, stored);
        const read = new Uint8Array(UNIT);
        const count = await run(crew, decompress, stored.subarray(0, length), read);
        return count === UNIT && Buffer.compare(read, unit) === 0;
      }),
    );
    expect(areRight).toEqual(units.map(() => true));
  });

  test("deflate is what any other inflate reads", async () => {
    const into = new Uint8Array(UNIT - 1);
    const length = await run(crew, "deflate", textOf(7), into);
    expect(Buffer.compare(inflateRawSync(into.subarray(0, length)), textOf(7))).toBe(0);
  });

  test("damaged units among others answer how much there was; what does not fit has no room", async () => {
    const stored = deflateRawSync(textOf(1));
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) => {
        if (index % 4 === 0) return run(crew, "inflate", stored, new Uint8Array(UNIT));
        if (index % 4 === 1) return run(crew, "inflate", stored.subarray(0, 40), new Uint8Array(UNIT));
        if (index % 4 === 2) return run(crew, "zstdDecompress", new Uint8Array(100).fill(0x77), new Uint8Array(UNIT));
        return run(crew, index % 8 === 3 ? "deflate" : "zstdCompress", textOf(1), new Uint8Array(8));
      }),
    );
    for (const [index, answer] of answers.entries()) {
      if (index % 4 === 0) expect(answer).toBe(UNIT);
      if (index % 4 === 1) expect(answer).toBeLessThan(UNIT);
      if (index % 4 === 2) expect(answer).toBe(0);
      if (index % 4 === 3) expect(answer).toBe(NO_ROOM);
    }
  });
});

test.runIf(hasAll)("units that a thread leaves when it is ended are done all the same", async () => {
  const { crew, started } = await readyCrew(2, false);
  const units = Array.from({ length: 300 }, (_, index) => textOf(index));
  const read = units.map(async (unit) => {
    const into = new Uint8Array(UNIT);
    const count = await run(crew, "inflate", deflateRawSync(unit), into);
    return count === UNIT && Buffer.compare(into, unit) === 0;
  });
  await started[0]?.terminate();
  expect(await Promise.all(read)).toEqual(units.map(() => true));
  expect(crew.isReady).toBe(false);
});

/** A process of its own that has a crew at work, and then does `end`. */
function processThat(end: string): { readonly status: number | null; readonly output: string } {
  const here = (file: string): string => JSON.stringify(fileURLToPath(new URL(file, import.meta.url)));
  const script = `
    import { Worker } from "node:worker_threads";
    import { deflateRawSync } from "node:zlib";
    import { Crew } from ${here("./crew.ts")};
    import { CodecLibrary } from ${here("./codec-library.ts")};
    import { SystemClock } from ${here("../coroutine/system-clock.ts")};
    const library = await CodecLibrary.load(null);
    const start = (workerData) => new Worker(${JSON.stringify(WORKER)}, { workerData, eval: true, execArgv: [] });
    const clock = new SystemClock();
    const crew = new Crew({ threads: 2, start, perform: () => { throw new Error("not here") }, helps: false, clock });
    process.once("exit", () => crew.stopNow());
    while (!crew.isReady) await new Promise((resolve) => void setTimeout(resolve, 1));
    const from = deflateRawSync(Buffer.alloc(65536, "a unit "));
    const inflate = () => {
      const into = new Uint8Array(65536);
      const places = { from: library.addressOf(from), fromLength: from.length, into: library.addressOf(into), intoLength: into.length };
      return crew.run({ task: 1, places }, [from, into]);
    };
    const row = () => Promise.all(Array.from({ length: 200 }, inflate));
    ${end}`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    encoding: "utf8",
    timeout: 10_000,
  });
  return { status, output: `${stdout}${stderr}` };
}

describe.runIf(hasAll)("a process", () => {
  test("ends when nothing is left to do, while its threads sleep", () => {
    expect(processThat(`console.log((await row()).length);`)).toEqual({ status: 0, output: "200\n" });
  });

  test("stays until what it began is done, and no longer", () => {
    expect(processThat(`row().then((lengths) => console.log(lengths.every((length) => length === 65536)));`)).toEqual({
      status: 0,
      output: "true\n",
    });
  });

  test("can exit while its threads work", () => {
    expect(processThat(`row(); await clock.yield(); await clock.yield(); process.exit(7);`)).toEqual({ status: 7, output: "" });
  });

  test("that has no use for its threads ends at once", () => {
    expect(processThat(``)).toEqual({ status: 0, output: "" });
  });
});
