/** NBD and HTTP over simulated connections, under schedules and seeds; and what protects them, missed where it is taken out. */

import { expectNoFailure } from "@coblock/testing";
import { describe, expect, test } from "vitest";
import { runMutated } from "./mutated.ts";
import { HTTP_MUTATIONS } from "./mutations/http.ts";
import { NBD_MUTATIONS } from "./mutations/nbd.ts";
import { HTTP_SCENARIOS } from "./scenarios/http-scenarios.ts";
import { NBD_SCENARIOS } from "./scenarios/nbd-scenarios.ts";

/** Larger walks end here: `npm run explore` finishes them. */
const MOST_SCHEDULES = 100;
const SEEDS = 60;
const SCENARIOS = [...NBD_SCENARIOS, ...HTTP_SCENARIOS];

describe("every schedule", () => {
  for (const scenario of SCENARIOS) {
    test(`${scenario.name}: ${scenario.about}`, async () => {
      const { schedules } = await expectNoFailure(scenario, { mode: "exhaustive", maxSchedules: MOST_SCHEDULES });
      expect(schedules).toBeGreaterThan(0);
    });
  }
});

describe("many schedules", () => {
  for (const scenario of SCENARIOS) {
    test(scenario.name, async () => {
      const { schedules } = await expectNoFailure(scenario, { mode: "random", seeds: SEEDS });
      expect(schedules).toBe(SEEDS);
    });
  }
});

describe("a protection that is taken out is missed", () => {
  for (const mutation of [...NBD_MUTATIONS, ...HTTP_MUTATIONS]) {
    test(`${mutation.name}: ${mutation.about}`, async () => {
      const { status, output } = await runMutated(mutation);
      expect(output).toMatch(mutation.found);
      expect(status).toBe(1);
    });
  }
});
