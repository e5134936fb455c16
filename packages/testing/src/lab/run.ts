/** Runs a scenario once, with the choices of one schedule, and judges it. */

import type { ChoiceSource } from "./choices.ts";
import { Journal } from "./journal.ts";
import { Lab } from "./lab.ts";
import type { LabDisk } from "./lab-disk.ts";
import { held, requests, waiting } from "./leftovers.ts";
import { forbidImpurity } from "./purity.ts";
import { RunFailure } from "./run-failure.ts";
import type { Play, Scenario } from "./scenario.ts";
import type { Schedule } from "./schedule.ts";
import type { PagedBytes } from "../storage/paged-bytes.ts";
import { type Patience, Scheduler } from "./scheduler.ts";
import { expectContent, expectSound, judgeAll } from "./verdict.ts";

export interface RunOptions {
  readonly scenario: Scenario;
  readonly choices: ChoiceSource;
  /** Files that the scenario has made before. */
  readonly files: Map<string, PagedBytes>;
  /** Keeps a journal for readers. Default false. */
  readonly journal?: boolean;
  /** Tells the choices what each step touches. Default false. */
  readonly watched?: boolean;
  /** Steps after which a run counts as endless. Default 20,000. */
  readonly maxSteps?: number;
  readonly patience?: Partial<Patience>;
  /** Called when the actors are about to begin; the result is disposed when they have ended. */
  readonly during?: (lab: Lab) => Disposable;
}

/** How a run ended. */
export interface RunResult {
  /** All choices with more than one option. */
  readonly schedule: Schedule;
  readonly steps: number;
  readonly failure: RunFailure | undefined;
  /** `false`: the choices wanted no more of it, for another run is as good. */
  readonly complete: boolean;
  readonly journal: readonly string[];
}

const DEFAULT_MAX_STEPS = 20_000;

export async function runOnce(options: RunOptions): Promise<RunResult> {
  const { scenario } = options;
  const journal = new Journal({ keep: options.journal === true, locks: () => locksOf(lab) });
  const scheduler = new Scheduler({
    choices: options.choices,
    journal,
    maxSteps: options.maxSteps ?? DEFAULT_MAX_STEPS,
    watched: options.watched === true,
    patience: options.patience,
  });
  const lab: Lab = new Lab({
    scheduler,
    journal,
    drivers: scenario.drivers,
    secrets: scenario.secrets,
    storage: scenario.storage ?? {},
    files: options.files,
  });
  const run = new Run(options, lab, scheduler, journal);
  let failure: RunFailure | undefined;
  let complete = true;
  try {
    complete = await run.all();
  } catch (error) {
    failure = RunFailure.of(error, "thrown", "an error that nobody expected");
    journal.note(() => `FAILED: ${failure?.message ?? ""}`);
  }
  return { schedule: scheduler.schedule, steps: scheduler.steps, failure, complete, journal: journal.lines };
}

/** Throws where a disk holds what it must not. */
interface Expectation {
  expect(offset: number, seen: Uint8Array, what: string): void;
}

class Run {
  readonly #options: RunOptions;
  readonly #lab: Lab;
  readonly #scheduler: Scheduler;
  readonly #journal: Journal;

  constructor(options: RunOptions, lab: Lab, scheduler: Scheduler, journal: Journal) {
    this.#options = options;
    this.#lab = lab;
    this.#scheduler = scheduler;
    this.#journal = journal;
  }

  /** `false`: cut short. Throws what is wrong. */
  async all(): Promise<boolean> {
    using _rejections = watchRejections((failure) => this.#scheduler.fail(failure));
    const play = await this.#scheduler.prepare(
      "preparing the scenario",
      () => this.#options.scenario.prepare(this.#lab),
      () => waiters(this.#lab),
    );
    if (!(await this.#act(play))) return false;
    this.#expectNothingHeld();
    await this.#quietly("judging the outcome", async () => play.judge?.());
    const expected = new Map(this.#lab.disks.map((disk) => [disk, disk.model.afterPowerCut()]));
    const judges = this.#lab.judges();
    const closed = await this.#close();
    this.#expectNothingLeft();
    for (const disk of this.#lab.disks) {
      // What an image that failed to close has stored is what a power cut would have left.
      const judge = closed ? disk.model : expected.get(disk);
      await this.#quietly(`opening '${disk.name}' again`, () => this.#judge(disk, play, judge ?? disk.model));
    }
    await this.#quietly("judging what is left", () => judgeAll(this.#lab, judges));
    return true;
  }

  /** `false`: it failed, as it may where a fault has struck. */
  async #close(): Promise<boolean> {
    try {
      await this.#quietly("closing", () => this.#lab.graph[Symbol.asyncDispose]());
      return true;
    } catch (error) {
      if (!this.#lab.storage.hasFailed || error instanceof RunFailure) throw error;
      this.#journal.note(() => `closing fails: ${String(error)}`);
      return false;
    }
  }

  async #act(play: Play): Promise<boolean> {
    using _during = this.#options.during?.(this.#lab);
    using _pure = forbidImpurity((failure) => this.#scheduler.fail(failure));
    const acting = new Set(Object.keys(play.actors));
    for (const [name, act] of Object.entries(play.actors)) {
      this.#scheduler.add(
        () => `${name} begins`,
        () => {
          act(this.#lab.actor(name)).then(
            () => acting.delete(name),
            (error: unknown) => this.#scheduler.fail(RunFailure.of(error, "thrown", `${name} fails`)),
          );
        },
      );
    }
    return await this.#scheduler.run(
      () => acting.size === 0 && this.#scheduler.pending.length === 0,
      this.#lab.clock,
      () => [...[...acting].map((name) => `${name} has not ended`), ...waiters(this.#lab)],
    );
  }

  #quietly<T>(what: string, work: () => Promise<T>): Promise<T> {
    return this.#scheduler.quietly(what, work, () => waiters(this.#lab));
  }

  #expectNothingHeld(): void {
    const left = [...held(this.#lab), ...waiting(this.#lab), ...requests(this.#lab), ...this.#lab.storage.inFlight];
    if (left.length > 0) throw new RunFailure("left behind", ["all actors have ended, and there is left:", ...left].join("\n  "));
  }

  #expectNothingLeft(): void {
    const { openFiles } = this.#lab.storage;
    const { openEnds } = this.#lab;
    const { timerCount } = this.#lab.clock;
    if (openEnds > 0) throw new RunFailure("left behind", `everything is closed, and ${openEnds} ends of connections are still open`);
    if (openFiles > 0) throw new RunFailure("left behind", `everything is closed, and ${openFiles} files are still open`);
    if (timerCount > 0)
      throw new RunFailure("left behind", `everything is closed, and ${timerCount} timers are still set: a coroutine sleeps`);
  }

  get #harmless(): { readonly harmless?: RegExp | undefined } {
    return this.#lab.storage.hasFailed ? { harmless: this.#options.scenario.harmless } : {};
  }

  async #judge(disk: LabDisk, play: Play, expected: Expectation): Promise<void> {
    this.#journal.note(() => `${disk.name} is opened again and judged`);
    await using graph = this.#lab.newGraph();
    const node = await graph.open(disk.judgedAs, { readOnly: true });
    const leaksAllowed = play.leaksAllowed ?? this.#lab.storage.hasFailed;
    const { dirty } = await node.info();
    if (dirty !== true || !this.#lab.storage.hasFailed) await expectSound(node, { leaksAllowed, what: disk.name, ...this.#harmless });
    await expectContent(disk, node, (offset, seen) => expected.expect(offset, seen, `${disk.name} opened again`));
  }
}

function waiters(lab: Lab): readonly string[] {
  return [...waiting(lab), ...held(lab), ...requests(lab), ...lab.storage.inFlight.map((operation) => `in flight: ${operation}`)];
}

function locksOf(lab: Lab): readonly string[] {
  return [...held(lab), ...waiting(lab)];
}

/** A promise that is rejected with nobody listening is an error that would be lost. It ends the run, and not the process around it. */
function watchRejections(report: (failure: RunFailure) => void): Disposable {
  const others = process.listeners("unhandledRejection");
  const listener = (error: unknown): void => report(RunFailure.of(error, "thrown", "a promise was rejected and nobody listened"));
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", listener);
  return {
    [Symbol.dispose]: () => {
      process.off("unhandledRejection", listener);
      for (const other of others) process.on("unhandledRejection", other);
    },
  };
}
