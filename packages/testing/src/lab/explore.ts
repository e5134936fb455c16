/** Runs a scenario under many schedules: seeds, or all of them; the first failure is shrunk and told. */

import { SeededRandom } from "../seeded-random.ts";
import type { PagedBytes } from "../storage/paged-bytes.ts";
import { type ChoiceSource, RandomChoices, ScriptedChoices } from "./choices.ts";
import { realNow } from "./event-loop.ts";
import { loaded } from "./loaded-drivers.ts";
import { guardPurity } from "./purity.ts";
import { type RunResult, runOnce } from "./run.ts";
import type { Scenario } from "./scenario.ts";
import { type Schedule, scheduleText } from "./schedule.ts";
import { ScheduleTree } from "./schedule-tree.ts";
import { shrink } from "./shrink.ts";

/** How to go about it. */
export interface ExploreOptions {
  /** `random`: one schedule for each seed. `exhaustive`: depth first over all choices. */
  readonly mode: "random" | "exhaustive";
  /** How many, for `random`. Default 1000. */
  readonly seeds?: number;
  /** The first of them. Default 1. */
  readonly firstSeed?: number;
  /** Where an exhaustive walk stops, finished or not. Default 1,000,000 runs. */
  readonly maxSchedules?: number;
  /** `false`: also walks schedules that only swap independent steps. Default true. */
  readonly prune?: boolean;
  /** Steps after which a run counts as endless. Default 20,000. */
  readonly maxSteps?: number;
  /** The command that replays a schedule of this scenario, for the report of a failure. */
  readonly replayCommand?: (scenario: string, schedule: string) => string;
  /** Hears of every run. */
  readonly onRun?: (runs: number) => void;
}

/** A run that failed, as short as it could be made. */
export interface FoundFailure {
  readonly kind: string;
  readonly message: string;
  /** Of `random`: the seed that found it. */
  readonly seed: number | undefined;
  readonly schedule: string;
  /** Readable: what happened, line by line, what is wrong, and how to see it again. */
  readonly report: string;
}

/** What a walk came to. */
export interface Exploration {
  /** Runs that went to their end. */
  readonly schedules: number;
  /** Runs that were cut short, since another run is as good. */
  readonly pruned: number;
  /** Actions that happened in all runs together. */
  readonly steps: number;
  /** Of `exhaustive`: every schedule was walked. */
  readonly complete: boolean;
  readonly durationMs: number;
  readonly failure: FoundFailure | undefined;
}

/** Stops at the first failure. Throws only where the lab itself is used wrongly. */
export async function explore(scenario: Scenario, options: ExploreOptions): Promise<Exploration> {
  const exploring = new Exploring(await loaded(scenario), options);
  using _guards = guardPurity();
  return await exploring.run();
}

/** One run by a schedule, with its journal: for a failure that was found before. */
export async function replay(scenario: Scenario, schedule: Schedule, options: Pick<ExploreOptions, "maxSteps"> = {}): Promise<RunResult> {
  const choices = new ScriptedChoices(schedule);
  const ready = await loaded(scenario);
  using _guards = guardPurity();
  return await runOnce({ scenario: ready, choices, files: new Map(), journal: true, ...options });
}

/** Throws the report of a failure; for tests. */
export async function expectNoFailure(scenario: Scenario, options: ExploreOptions): Promise<Exploration> {
  const exploration = await explore(scenario, options);
  if (exploration.failure !== undefined) throw new Error(exploration.failure.report);
  return exploration;
}

class Exploring {
  readonly #scenario: Scenario;
  readonly #options: ExploreOptions;
  readonly #files: Map<string, PagedBytes> = new Map();
  #schedules = 0;
  #pruned = 0;
  #steps = 0;

  constructor(scenario: Scenario, options: ExploreOptions) {
    this.#scenario = scenario;
    this.#options = options;
  }

  async run(): Promise<Exploration> {
    const startMs = realNow();
    const { complete, failure } = this.#options.mode === "random" ? await this.#random() : await this.#exhaustive();
    const { schedules, pruned, steps } = { schedules: this.#schedules, pruned: this.#pruned, steps: this.#steps };
    return { schedules, pruned, steps, complete, durationMs: realNow() - startMs, failure };
  }

  async #random(): Promise<Pick<Exploration, "complete" | "failure">> {
    const { seeds = 1000, firstSeed = 1 } = this.#options;
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const result = await this.#once(new RandomChoices(new SeededRandom(seed)), false);
      if (result.failure !== undefined) return { complete: false, failure: await this.#found(result, seed) };
    }
    return { complete: false, failure: undefined };
  }

  async #exhaustive(): Promise<Pick<Exploration, "complete" | "failure">> {
    const { prune = true, maxSchedules = 1_000_000 } = this.#options;
    const tree = new ScheduleTree({ prune });
    do {
      if (this.#schedules + this.#pruned >= maxSchedules) return { complete: false, failure: undefined };
      tree.begin();
      const result = await this.#once(tree, prune);
      if (result.failure !== undefined) return { complete: false, failure: await this.#found(result, undefined) };
    } while (tree.advance());
    return { complete: true, failure: undefined };
  }

  async #once(choices: ChoiceSource, watched: boolean): Promise<RunResult> {
    const { maxSteps, onRun } = this.#options;
    const limits = maxSteps === undefined ? {} : { maxSteps };
    const result = await runOnce({ scenario: this.#scenario, choices, files: this.#files, watched, ...limits });
    if (result.complete) this.#schedules++;
    else this.#pruned++;
    this.#steps += result.steps;
    onRun?.(this.#schedules + this.#pruned);
    return result;
  }

  async #found(result: RunResult, seed: number | undefined): Promise<FoundFailure> {
    const kind = result.failure?.kind ?? "thrown";
    const { maxSteps } = this.#options;
    const limits = maxSteps === undefined ? {} : { maxSteps };
    const run = (schedule: Schedule, journal: boolean): Promise<RunResult> =>
      runOnce({ scenario: this.#scenario, choices: new ScriptedChoices(schedule), files: this.#files, journal, ...limits });
    const short = await shrink(result.schedule, async (schedule) => {
      const again = await run(schedule, false);
      return again.failure?.kind === kind ? again.schedule : undefined;
    });
    const told = await run(short, true);
    const message = (told.failure ?? result.failure)?.message ?? "";
    const schedule = scheduleText(short);
    return { kind, message, seed, schedule, report: this.#report(told, kind, message, seed, schedule) };
  }

  #report(told: RunResult, kind: string, message: string, seed: number | undefined, schedule: string): string {
    const { name, about } = this.#scenario;
    const { replayCommand = (scenario, text): string => `replay(${scenario}, parseSchedule("${text}"))` } = this.#options;
    const found = seed === undefined ? `schedule ${this.#schedules + this.#pruned} of the walk` : `seed ${seed}`;
    const repeats = told.failure === undefined ? ["(it did not come again: something beside the schedule decides what happens)"] : [];
    return [
      `${name}: ${about}`,
      `${kind}, found by ${found}; ${told.steps} steps:`,
      ...told.journal,
      `${kind}: ${message}`,
      ...repeats,
      `again: ${replayCommand(name, schedule)}`,
    ].join("\n");
  }
}
