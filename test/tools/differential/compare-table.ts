/** Makes a test of each line of a table. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCEPTED_DIFFERENCES, type AcceptedDifference } from "./accepted-differences.ts";
import { BothPrograms, type Case, type Outcome } from "./both-programs.ts";
import { withoutSummaries, withoutTimes } from "./normalise.ts";

/** Every third line and all that may differ; `COBLOCK_DIFFERENTIAL=all` runs all, which takes minutes. */
const STEP = process.env["COBLOCK_DIFFERENTIAL"] === "all" ? 1 : 3;

const PARTS = ["exitCode", "stdout", "stderr", "files"] as const;

/** `makeFiles` fills a folder with the files that every line begins with. */
export function compareTable(
  program: AcceptedDifference["program"],
  makeFiles: (folder: string) => void,
  tables: Readonly<Record<string, readonly (string | Case)[]>>,
): void {
  let programs: BothPrograms;
  beforeAll(() => {
    programs = new BothPrograms(program, makeFiles);
  });
  afterAll(() => programs[Symbol.dispose]());

  for (const [name, cases] of Object.entries(tables)) {
    describe(name, () => {
      const lines = cases.map((one) => (typeof one === "string" ? { line: one } : one));
      const chosen = lines.filter((one, index) => index % STEP === 0 || acceptedParts(program, one).length > 0);
      it.each(chosen)("$line", async (one: Case) => {
        const { theirs, ours } = await programs.run(one);
        const accepted = acceptedParts(program, one);
        const [expected, got] = [comparable(theirs), comparable(ours)];
        for (const part of accepted) expect(got[part], `${part} is said to differ`).not.toEqual(expected[part]);
        const compared = PARTS.filter((part) => !accepted.includes(part));
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

function acceptedParts(program: AcceptedDifference["program"], { line }: Case): AcceptedDifference["parts"] {
  return ACCEPTED_DIFFERENCES.find((known) => known.program === program && known.line === line)?.parts ?? [];
}
