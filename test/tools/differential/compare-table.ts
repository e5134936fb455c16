/** Makes a test of each line of a table. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCEPTED_DIFFERENCES, type AcceptedDifference } from "./accepted-differences.ts";
import { BothPrograms, type Case, type Outcome } from "./both-programs.ts";
import { withoutSummaries, withoutTimes } from "./normalise.ts";

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
      it.each(cases.map((one) => (typeof one === "string" ? { line: one } : one)))("$line", async (one: Case) => {
        const { theirs, ours } = await programs.run(one);
        const accepted = ACCEPTED_DIFFERENCES.find((known) => known.program === program && known.line === one.line)?.parts ?? [];
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
