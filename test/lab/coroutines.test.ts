/** Locks, queues, sleeps and task groups in every order of their steps; and every protection that they have, missed where it is taken out. */

import { expectNoFailure } from "@coblock/testing";
import { describe, expect, test } from "vitest";
import { runMutated } from "./mutated.ts";
import { COROUTINE_MUTATIONS } from "./mutations/coroutines.ts";
import { COROUTINE_SCENARIOS } from "./scenarios/coroutine-scenarios.ts";

describe("every schedule of coroutines without a disk", () => {
  for (const scenario of COROUTINE_SCENARIOS) {
    test(`${scenario.name}: ${scenario.about}`, async () => {
      const { schedules, complete } = await expectNoFailure(scenario, { mode: "exhaustive", maxSchedules: 20_000 });
      expect(complete).toBe(true);
      process.stdout.write(`${scenario.name}: ${schedules.toLocaleString("en")} schedules, all there are\n`);
    });
  }
});

describe("a protection that is taken out is missed", () => {
  for (const mutation of COROUTINE_MUTATIONS) {
    test(`${mutation.name}: ${mutation.about}`, async () => {
      const { status, output } = await runMutated(mutation);
      expect(output).toMatch(mutation.found);
      expect(output).toContain(`again: npm run explore -- --scenario ${mutation.scenario} --mutation ${mutation.name} --schedule `);
      expect(status).toBe(1);
    });
  }
});
