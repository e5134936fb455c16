/** What the command does, with the sources as they are or with a protection taken out of them: long runs of one scenario, and replays of what they found. */

import { parseArgs } from "node:util";
import { explore, parseSchedule, powerCut, replay, type Scenario } from "@coblock/testing";
import { MUTATIONS } from "./mutations.ts";
import { SCENARIOS, scenarioOf } from "./scenarios.ts";

const USAGE = `usage: npm run explore -- --scenario NAME [what to do] [--mutation NAME]
  --list                       all scenarios, and the protections that can be taken out (mutations)
  --seeds N [--first-seed S]   one schedule for each seed, from S on (default: 10,000 from 1)
  --exhaustive [--max N]       all schedules, at most N (default 1,000,000)
  --no-prune                   of those, also the ones that only swap independent steps
  --power-cut [--seeds N]      cut the power at every write and flush: the plain schedule and N seeds (default 10)
  --schedule TEXT              that schedule, told line by line; with --power-cut --cut N one cut of it
  --mutation NAME              with one protection taken out: must find what it prevents
`;

const { values } = parseArgs({
  options: {
    list: { type: "boolean" },
    scenario: { type: "string" },
    seeds: { type: "string" },
    "first-seed": { type: "string" },
    exhaustive: { type: "boolean" },
    max: { type: "string" },
    "no-prune": { type: "boolean" },
    "power-cut": { type: "boolean" },
    schedule: { type: "string" },
    cut: { type: "string" },
    mutation: { type: "string" },
    help: { type: "boolean" },
  },
});

function count(text: string | undefined, otherwise: number): number {
  const number = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`'${text ?? ""}' is no count`);
  return number;
}

function replayCommand(scenario: string, schedule: string, cut?: number): string {
  const mutation = values.mutation === undefined ? "" : ` --mutation ${values.mutation}`;
  return `npm run explore -- --scenario ${scenario}${mutation} --schedule ${schedule}${cut === undefined ? "" : ` --power-cut --cut ${cut}`}`;
}

function list(): void {
  for (const { name, about } of SCENARIOS) process.stdout.write(`${name.padEnd(28)} ${about}\n`);
  process.stdout.write("\nmutations:\n");
  for (const { name, about, scenario } of MUTATIONS) process.stdout.write(`${name.padEnd(28)} ${about} (${scenario})\n`);
}

function perMinute(runs: number, durationMs: number): string {
  return `${Math.round((runs / Math.max(durationMs, 1)) * 60_000).toLocaleString("en")} a minute`;
}

async function replayed(scenario: Scenario, schedule: string): Promise<void> {
  const { journal, failure, steps } = await replay(scenario, parseSchedule(schedule));
  process.stdout.write(`${scenario.name}: ${scenario.about}\n${journal.join("\n")}\n${steps} steps, ${failure?.kind ?? "no failure"}\n`);
  if (failure !== undefined) process.exitCode = 1;
}

async function cutPower(scenario: Scenario): Promise<void> {
  const seeds = Array.from({ length: count(values.seeds, 10) }, (_, index) => count(values["first-seed"], 1) + index);
  const { cuts, moments, durationMs, failure } = await powerCut(scenario, {
    seeds,
    replayCommand,
    ...(values.schedule === undefined ? {} : { schedule: parseSchedule(values.schedule) }),
    ...(values.cut === undefined ? {} : { only: count(values.cut, 0) }),
  });
  if (failure !== undefined) process.stdout.write(`${failure.report}\n`);
  process.stdout.write(
    `${scenario.name}: ${cuts} cuts at ${moments} moments, ${perMinute(cuts, durationMs)}: ${failure === undefined ? "no failure" : "FAILED"}\n`,
  );
  if (failure !== undefined) process.exitCode = 1;
}

async function walk(scenario: Scenario): Promise<void> {
  const mode = values.exhaustive === true ? "exhaustive" : "random";
  const { schedules, pruned, steps, complete, durationMs, failure } = await explore(scenario, {
    mode,
    seeds: count(values.seeds, 10_000),
    firstSeed: count(values["first-seed"], 1),
    maxSchedules: count(values.max, 1_000_000),
    prune: values["no-prune"] !== true,
    replayCommand,
  });
  if (failure !== undefined) process.stdout.write(`${failure.report}\n`);
  const how = mode === "random" ? "by seeds" : complete ? "all there are" : "not all there are";
  process.stdout.write(
    `${scenario.name}: ${schedules} schedules (${how}), ${pruned} cut short as redundant, ${steps} steps, ${perMinute(schedules + pruned, durationMs)}: ${failure === undefined ? "no failure" : "FAILED"}\n`,
  );
  if (failure !== undefined) process.exitCode = 1;
}

if (values.list === true) list();
else if (values.help === true || values.scenario === undefined) process.stdout.write(USAGE);
else {
  const scenario = scenarioOf(values.scenario);
  if (values["power-cut"] === true) await cutPower(scenario);
  else if (values.schedule !== undefined) await replayed(scenario, values.schedule);
  else await walk(scenario);
}
