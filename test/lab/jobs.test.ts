/** Commit and rebase under schedules, seeds and power cuts; and what protects them, missed where it is taken out. */

import { expectNoFailure, expectPowerCutsHarmless } from "@coblock/testing";
import { describe, expect, test } from "vitest";
import { runMutated } from "./mutated.ts";
import { JOB_MUTATIONS } from "./mutations/jobs.ts";
import { JOB_SCENARIOS } from "./scenarios/job-scenarios.ts";

/** Larger walks end here: `npm run explore` finishes them. */
const MOST_SCHEDULES = 1000;
const SEEDS = 60;
const BOUND = 10;

describe("every schedule", () => {
  for (const scenario of JOB_SCENARIOS.filter(({ name }) => !name.endsWith("-storm"))) {
    test(`${scenario.name}: ${scenario.about}`, async () => {
      const { schedules, complete } = await expectNoFailure(scenario, { mode: "exhaustive", maxSchedules: MOST_SCHEDULES });
      expect(schedules).toBeGreaterThan(0);
      process.stdout.write(
        `${scenario.name}: ${schedules.toLocaleString("en")} schedules, ${complete ? "all there are" : "and there are more"}\n`,
      );
    });
  }
});

describe("many schedules", () => {
  for (const scenario of JOB_SCENARIOS) {
    test(scenario.name, async () => {
      const unruly = { ...scenario, storage: { ...scenario.storage, completions: "either" } } as const;
      const { schedules } = await expectNoFailure(unruly, { mode: "random", seeds: SEEDS });
      expect(schedules).toBe(SEEDS);
    });
  }
});

describe("power cuts", () => {
  for (const scenario of JOB_SCENARIOS) {
    test(scenario.name, async () => {
      const { cuts, moments } = await expectPowerCutsHarmless(scenario, { seeds: [1], bound: BOUND });
      expect(cuts).toBeGreaterThan(moments);
    });
  }
});

describe("a protection that is taken out is missed", () => {
  for (const mutation of JOB_MUTATIONS) {
    test(`${mutation.name}: ${mutation.about}`, async () => {
      const { status, output } = await runMutated(mutation);
      expect(output).toMatch(mutation.found);
      expect(status).toBe(1);
    });
  }
});
