/** Cuts the power at every write and every flush of a scenario, and looks at what is left as its next user would. */

import { hex, type BlockGraph, type BlockNode } from "@coblock/core";
import { SeededRandom } from "../seeded-random.ts";
import { RandomChoices, ScriptedChoices } from "./choices.ts";
import { crashStates, type FilesAfterCut } from "./crash-states.ts";
import { realNow } from "./event-loop.ts";
import { Journal } from "./journal.ts";
import { Lab } from "./lab.ts";
import type { LabDisk } from "./lab-disk.ts";
import { loaded } from "./loaded-drivers.ts";
import type { CutExpectation } from "./model-disk.ts";
import { guardPurity } from "./purity.ts";
import { runOnce } from "./run.ts";
import { RunFailure } from "./run-failure.ts";
import type { Scenario } from "./scenario.ts";
import { type Schedule, scheduleText } from "./schedule.ts";
import type { PagedBytes } from "../storage/paged-bytes.ts";
import { Scheduler } from "./scheduler.ts";
import type { FileAtCut } from "./sim-file.ts";
import { expectContent, expectSound, judgeAll } from "./verdict.ts";

/** What an unclean image may look like, and how often the power goes. */
export interface PowerCutOptions {
  /** Runs of the scenario: the first with the plain schedule, the others with these seeds. Default 3 runs. */
  readonly seeds?: readonly number[];
  /** Only this schedule. */
  readonly schedule?: Schedule;
  /** At each moment: up to that many combinations of unflushed sectors all are tried, beyond that a sample of as many. Default 24. */
  readonly bound?: number;
  /** Only the cut with that number. */
  readonly only?: number;
  /** Leaked clusters are all right after a cut. Default true. */
  readonly leaksAllowed?: boolean;
  /** The command that repeats one cut, for the report of a failure. */
  readonly replayCommand?: (scenario: string, schedule: string, cut: number) => string;
}

/** What the cuts came to. */
export interface PowerCutResult {
  /** Moments at which the power went. */
  readonly moments: number;
  /** Disks that were built and judged. */
  readonly cuts: number;
  readonly durationMs: number;
  readonly failure: { readonly message: string; readonly report: string; readonly schedule: string; readonly cut: number } | undefined;
}

/** One moment at which the power goes. */
interface Moment {
  readonly what: string;
  readonly files: ReadonlyMap<string, FileAtCut>;
  readonly expected: ReadonlyMap<LabDisk, CutExpectation>;
  readonly judges: ReturnType<Lab["judges"]>;
}

/** Stops at the first failure. */
export async function powerCut(scenario: Scenario, options: PowerCutOptions = {}): Promise<PowerCutResult> {
  const cutting = new PowerCutting(await loaded(scenario), options);
  using _guards = guardPurity();
  return await cutting.run();
}

/** Throws the report of a failure; for tests. */
export async function expectPowerCutsHarmless(scenario: Scenario, options: PowerCutOptions = {}): Promise<PowerCutResult> {
  const result = await powerCut(scenario, options);
  if (result.failure !== undefined) throw new Error(result.failure.report);
  return result;
}

class PowerCutting {
  readonly #scenario: Scenario;
  readonly #options: PowerCutOptions;
  readonly #files: Map<string, PagedBytes> = new Map();
  #moments = 0;
  #cuts = 0;

  constructor(scenario: Scenario, options: PowerCutOptions) {
    this.#scenario = scenario;
    this.#options = options;
  }

  async run(): Promise<PowerCutResult> {
    const startMs = realNow();
    const { schedule, seeds = [1, 2] } = this.#options;
    const all =
      schedule === undefined
        ? [new ScriptedChoices([]), ...seeds.map((seed) => new RandomChoices(new SeededRandom(seed)))]
        : [new ScriptedChoices(schedule)];
    let failure: PowerCutResult["failure"];
    for (const choices of all) failure ??= await this.#cutRun(choices);
    return { moments: this.#moments, cuts: this.#cuts, durationMs: realNow() - startMs, failure };
  }

  async #cutRun(choices: ScriptedChoices | RandomChoices): Promise<PowerCutResult["failure"]> {
    const moments: Moment[] = [];
    const result = await runOnce({ scenario: this.#scenario, choices, files: this.#files, during: (lab) => watch(lab, moments) });
    if (result.failure !== undefined)
      return this.#report(result.schedule, -1, "none: the run itself fails", result.failure, await this.#journal(result.schedule));
    const random = new SeededRandom(1);
    let cut = -1;
    for (const moment of moments) {
      this.#moments++;
      for (const files of crashStates(moment.files, { bound: this.#options.bound ?? 24, random })) {
        cut++;
        if (this.#options.only !== undefined && this.#options.only !== cut) continue;
        this.#cuts++;
        const failure = await this.#judge(moment, files);
        if (failure !== undefined) return this.#report(result.schedule, cut, moment.what, failure, await this.#journal(result.schedule));
      }
    }
    return undefined;
  }

  async #judge(moment: Moment, files: FilesAfterCut): Promise<RunFailure | undefined> {
    const journal = new Journal({ keep: false });
    const scheduler = new Scheduler({ choices: new ScriptedChoices([]), journal, maxSteps: 1, watched: false });
    const { drivers, secrets, storage = {} } = this.#scenario;
    const lab = new Lab({ scheduler, journal, drivers, secrets, storage, files: new Map() });
    for (const [name, bytes] of files) lab.storage.put(name, bytes);
    try {
      for (const [disk, expected] of moment.expected)
        await scheduler.quietly(
          "opening what is left",
          () => this.#judgeDisk(lab, disk, expected),
          () => [],
        );
      await scheduler.quietly(
        "judging what is left",
        () => judgeAll(lab, moment.judges),
        () => [],
      );
    } catch (error) {
      return RunFailure.of(error, "wrong", "opening what is left");
    }
    return undefined;
  }

  /** As it is: no damage, unless it says itself that it is unclean. Then opened for writing, which repairs what the format's rules say; then used. */
  async #judgeDisk(lab: Lab, disk: LabDisk, expected: CutExpectation): Promise<void> {
    const { leaksAllowed = true } = this.#options;
    const { harmless } = this.#scenario;
    await using graph = lab.newGraph();
    await withNode(graph, disk, true, async (node) => {
      const { dirty } = await node.info();
      if (dirty !== true) await expectSound(node, { leaksAllowed, harmless, what: `${disk.name}, before anyone repairs it` });
    });
    await withNode(graph, disk, false, async (node) => {
      await expectSound(node, { leaksAllowed, harmless, what: disk.name });
      await expectContent(disk, node, (offset, seen) => expected.expect(offset, seen, `${disk.name} after the cut`));
      await node.write(0, new Uint8Array(Math.min(node.size, 512)).fill(0xa5));
    });
    await withNode(graph, disk, true, (node) =>
      expectSound(node, { leaksAllowed, harmless, what: `${disk.name}, written to after the cut` }),
    );
  }

  async #journal(schedule: Schedule): Promise<readonly string[]> {
    const choices = new ScriptedChoices(schedule);
    return (await runOnce({ scenario: this.#scenario, choices, files: this.#files, journal: true })).journal;
  }

  #report(schedule: Schedule, cut: number, what: string, failure: RunFailure, journal: readonly string[]): PowerCutResult["failure"] {
    const { replayCommand = (name, text, number) => `powerCut(${name}, { schedule: parseSchedule("${text}"), only: ${number} })` } =
      this.#options;
    const text = scheduleText(schedule);
    const report = [
      `${this.#scenario.name}: ${this.#scenario.about}`,
      ...journal,
      `power cut ${cut}: ${what}`,
      failure.message,
      `again: ${replayCommand(this.#scenario.name, text, cut)}`,
    ].join("\n");
    return { message: failure.message, report, schedule: text, cut };
  }
}

async function withNode(graph: BlockGraph, disk: LabDisk, readOnly: boolean, look: (node: BlockNode) => Promise<void>): Promise<void> {
  const node = await graph.open(readOnly ? disk.judgedAs : disk.options, { readOnly });
  await look(node);
  await node[Symbol.asyncDispose]();
}

/** Before each change and each flush begins, after it has taken effect, and when all actors have heard of the last. */
function watch(lab: Lab, moments: Moment[]): Disposable {
  const note = (what: string): void => {
    const expected = new Map(lab.disks.map((disk) => [disk, disk.model.afterPowerCut()]));
    moments.push({ what, files: lab.storage.atCut(), expected, judges: lab.judges() });
  };
  const observing = lab.storage.observe(({ kind, file, offset, length }, when) =>
    note(`when ${kind} ${file} ${hex(offset)}+${length} ${when}`),
  );
  return {
    [Symbol.dispose]: () => {
      observing[Symbol.dispose]();
      note("when all actors have ended");
    },
  };
}
