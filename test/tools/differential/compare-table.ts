/** Makes a test of each line of a table. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCEPTED_DIFFERENCES, type AcceptedDifference } from "./accepted-differences.ts";
import type { Case, Outcome } from "./both-programs.ts";
import { withoutSummaries, withoutTimes } from "./normalise.ts";

/** `COBLOCK_DIFFERENTIAL=all` runs all lines, which takes minutes. */
const RUNS_ALL = process.env["COBLOCK_DIFFERENTIAL"] === "all";

const PARTS = ["exitCode", "stdout", "stderr", "files"] as const;

/** Both programs, and the files that every line begins with. */
interface Programs extends Disposable {
  run(one: Case): Promise<{ readonly theirs: Outcome; readonly ours: Outcome }>;
}

/** Each `step`th line, and all that may differ. */
export function compareTable(
  program: AcceptedDifference["program"],
  start: () => Promise<Programs>,
  tables: Readonly<Record<string, readonly (string | Case)[]>>,
  step: number = 3,
): void {
  const usedStep = RUNS_ALL ? 1 : step;
  let programs: Programs;
  beforeAll(async () => {
    programs = await start();
  });
  afterAll(() => programs[Symbol.dispose]());

  for (const [name, cases] of Object.entries(tables)) {
    describe(name, () => {
      const lines = cases.map((one) => (typeof one === "string" ? { line: one } : one));
      const chosen = lines.filter((one, index) => index % usedStep === 0 || accepted(program, one)?.line === one.line);
      it.each(chosen)("$line", async (one: Case) => {
        const { theirs, ours } = await programs.run(one);
        const known = accepted(program, one);
        const parts = known?.parts ?? [];
        const [expected, got] = [comparable(theirs), comparable(ours)];
        for (const part of known?.line === one.line ? parts : [])
          expect(got[part], `${part} is said to differ`).not.toEqual(expected[part]);
        const compared = PARTS.filter((part) => !parts.includes(part));
        expect(pick(got, compared)).toEqual(pick(expected, compared));
      });
    });
  }
}

function comparable({ exitCode, stdout, stderr, files }: Outcome): Outcome {
  return { exitCode, stdout: withoutSummaries(withoutTimes(stdout)), stderr, files };
}

function pick(outcome: Outcome, parts: readonly (keyof Outcome)[]): Partial<Outcome> {
  return Object.fromEntries(parts.map((part) => [part, outcome[part]]));
}

function accepted(program: AcceptedDifference["program"], { line }: Case): AcceptedDifference | undefined {
  return ACCEPTED_DIFFERENCES.find(
    (known) => known.program === program && (known.line instanceof RegExp ? known.line.test(line) : known.line === line),
  );
}
