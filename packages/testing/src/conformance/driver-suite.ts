/** The conformance suite: what every driver must do, as a list of cases for any test runner. */

import type { CompletionMode } from "../storage/completions.ts";
import { abortCases } from "./abort-cases.ts";
import { addressCases } from "./address-cases.ts";
import { backingCases } from "./backing-cases.ts";
import { closingCases } from "./closing-cases.ts";
import { compressionCases } from "./compression-cases.ts";
import { concurrencyCases } from "./concurrency-cases.ts";
import { durabilityCases } from "./durability-cases.ts";
import { exploredCasesOf } from "./explored-cases.ts";
import { faultCases } from "./fault-cases.ts";
import { randomCases } from "./random-cases.ts";
import { readOnlyCases } from "./read-only-cases.ts";
import { resizeCases } from "./resize-cases.ts";
import { statusCases } from "./status-cases.ts";
import type { DriverSubject } from "./subject.ts";
import { Trial } from "./trial.ts";
import { zeroCases } from "./zero-cases.ts";

export interface ConformanceCase {
  readonly name: string;
  /** Rejects with what is wrong. */
  run(): Promise<void>;
}

const CASES = [
  ...addressCases,
  ...readOnlyCases,
  ...concurrencyCases,
  ...zeroCases,
  ...compressionCases,
  ...statusCases,
  ...backingCases,
  ...resizeCases,
  ...durabilityCases,
  ...closingCases,
  ...abortCases,
  ...faultCases,
  ...randomCases,
];

/**
 * The cases that apply to `subject`, each twice where its storage is the suite's: with storage that completes at once, and with storage
 * that completes later and in random order. The engine and the drivers treat the two differently. Then, once, those that the lab runs: under
 * many schedules, and with power cuts.
 *
 *     for (const { name, run } of driverSuite(subject)) test(name, run); // vitest's test, or node:test's
 */
export function driverSuite(subject: DriverSubject): ConformanceCase[] {
  const modes: readonly CompletionMode[] = subject.overTestStorage === false ? ["at once"] : ["at once", "later"];
  const cases = modes.flatMap((mode) =>
    CASES.filter((spec) => spec.applies?.(subject) ?? true).map((spec) => ({
      name: `${subject.name}${modes.length === 1 ? "" : `, storage completes ${mode}`}: ${spec.name}`,
      run: () => new Trial(subject, mode).run(spec),
    })),
  );
  const explored = exploredCasesOf(subject).map(({ name, run }) => ({
    name: `${subject.name}, in the lab: ${name}`,
    run: () => run(subject),
  }));
  return [...cases, ...explored];
}
