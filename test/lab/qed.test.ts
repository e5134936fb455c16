/** QED, its table cache and the mapping engine below it in the lab: schedules, power cuts, and every protection missed where it is taken out. */

import { expectNoFailure, expectPowerCutsHarmless, type Scenario } from "@coblock/testing";
import { describe, expect, test } from "vitest";
import { runMutated } from "./mutated.ts";
import { QED_MUTATIONS } from "./mutations/qed.ts";
import { QED_CRASHES } from "./scenarios/qed-crashes.ts";
import { qedEvict } from "./scenarios/qed-evict.ts";
import { QED_FAULTS } from "./scenarios/qed-faults.ts";
import { QED_TIMERS } from "./scenarios/qed-need-check.ts";
import { QED_OVERLAPS } from "./scenarios/qed-overlaps.ts";
import { TABLE_CACHE_SCENARIOS } from "./scenarios/table-cache.ts";

/** Larger walks end here: `npm run explore` finishes them. */
const MOST_SCHEDULES = 700;
const SEEDS = 60;

/** What a walk by hand need not meet: completions in the turn of their request, and coroutines that stand still at every event. */
function unruly(scenario: Scenario): Scenario {
  return { ...scenario, storage: { ...scenario.storage, completions: "either", pauses: true } };
}

function perMinute(count: number, durationMs: number): string {
  return `${Math.round((count / Math.max(durationMs, 1)) * 60_000).toLocaleString("en")} a minute`;
}

describe("every schedule", () => {
  for (const scenario of [...TABLE_CACHE_SCENARIOS, qedEvict, ...QED_OVERLAPS, ...QED_FAULTS, ...QED_TIMERS]) {
    test(`${scenario.name}: ${scenario.about}`, async () => {
      const { schedules, complete, durationMs } = await expectNoFailure(scenario, { mode: "exhaustive", maxSchedules: MOST_SCHEDULES });
      expect(schedules).toBeGreaterThan(0);
      const all = complete ? "all there are" : "and there are more";
      process.stdout.write(`${scenario.name}: ${schedules} schedules, ${all}, ${perMinute(schedules, durationMs)}\n`);
    });
  }
});

describe("schedules by seeds, with completions and pauses at any time", () => {
  for (const scenario of [...TABLE_CACHE_SCENARIOS, qedEvict, ...QED_OVERLAPS, ...QED_CRASHES, ...QED_FAULTS, ...QED_TIMERS]) {
    test(scenario.name, async () => {
      const { schedules } = await expectNoFailure(unruly(scenario), { mode: "random", seeds: SEEDS });
      expect(schedules).toBe(SEEDS);
    });
  }
});

describe("power cuts at every write and flush", () => {
  for (const scenario of [...QED_CRASHES, qedEvict, ...QED_OVERLAPS, ...QED_TIMERS]) {
    test(scenario.name, async () => {
      const { moments, cuts, durationMs } = await expectPowerCutsHarmless(scenario, { seeds: [1] });
      expect(moments).toBeGreaterThan(0);
      process.stdout.write(`${scenario.name}: ${cuts} power cuts at ${moments} moments, ${perMinute(cuts, durationMs)}\n`);
    });
  }
});

describe("a protection that is taken out is missed", () => {
  for (const mutation of QED_MUTATIONS) {
    test(`${mutation.name}: ${mutation.about}`, async () => {
      const { status, output } = await runMutated(mutation);
      expect(output).toMatch(mutation.found);
      expect(output).toContain(`again: npm run explore -- --scenario ${mutation.scenario} --mutation ${mutation.name} --schedule `);
      expect(status).toBe(1);
    });
  }
});
