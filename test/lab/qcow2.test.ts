/** qcow2 under every schedule, many seeds and power cuts; and every protection that it has, missed where it is taken out. */

import { expectNoFailure, expectPowerCutsHarmless, type Scenario } from "@coblock/testing";
import { describe, expect, test } from "vitest";
import { runMutated } from "./mutated.ts";
import { QCOW2_BITMAP_MUTATIONS } from "./mutations/qcow2-bitmaps.ts";
import { QCOW2_SNAPSHOT_MUTATIONS } from "./mutations/qcow2-snapshots.ts";
import { QCOW2_CLEANER_MUTATIONS } from "./mutations/qcow2-cleaner.ts";
import { QCOW2_PLACE_MUTATIONS } from "./mutations/qcow2-places.ts";
import { QCOW2_ENCRYPTION_MUTATIONS } from "./mutations/qcow2-encryption.ts";
import { QCOW2_REFCOUNT_MUTATIONS } from "./mutations/qcow2-refcounts.ts";
import { QCOW2_MUTATIONS } from "./mutations/qcow2.ts";
import { QCOW2_SCENARIOS } from "./scenarios/qcow2-scenarios.ts";

/** Too many schedules to walk them all: seeds, as many as here. */
const SEEDS: Readonly<Record<string, number>> = {
  "qcow2-growth": 10,
  "qcow2-growth-eio": 30,
  "qcow2-growth-short": 20,
  "qcow2-growth-unheard": 30,
  "qcow2-storm": 50,
  "qcow2-storm-packed": 50,
  "qcow2-storm-shared": 50,
  "qcow2-storm-overlay": 50,
  "qcow2-storm-lazy": 50,
  "qcow2-storm-places": 50,
  "qcow2-storm-eio": 50,
  "qcow2-storm-enospc": 50,
  "qcow2-storm-short": 50,
  "qcow2-prompt-storm": 50,
  "qcow2-prompt-storm-shared": 30,
  "qcow2-prompt-storm-overlay": 30,
  "qcow2-prompt-storm-places": 30,
  "qcow2-prompt-storm-eio": 30,
  "qcow2-prompt-storm-enospc": 30,
  "qcow2-snapshot-beside": 60,
  "qcow2-snapshot-storm": 40,
  "qcow2-cleaner-evict": 100,
  "qcow2-bitmap-requests": 100,
  "qcow2-cleaner-storm": 50,
  "qcow2-encrypted-fresh": 30,
  "qcow2-encrypted-copies": 30,
  "qcow2-encrypted-storm": 20,
};

/** Cut beside the plain schedule with these many seeds. */
const CUT_SEEDS: Readonly<Record<string, number>> = {
  "qcow2-new-tables": 1,
  "qcow2-lazy": 2,
  "qcow2-reserved": 4,
  "qcow2-slow-data": 4,
  "qcow2-copy-shared": 3,
  "qcow2-reuse-read": 3,
  "qcow2-reuse-write": 2,
  "qcow2-reuse-beside": 3,
  "qcow2-reuse-compressed": 2,
  "qcow2-retired-pack": 2,
  "qcow2-kept-place": 2,
  "qcow2-growth": 0,
  "qcow2-resize": 0,
  "qcow2-shrink": 0,
  "qcow2-storm": 0,
  "qcow2-storm-packed": 0,
  "qcow2-storm-shared": 0,
  "qcow2-storm-overlay": 0,
  "qcow2-storm-lazy": 0,
  "qcow2-storm-places": 0,
  "qcow2-prompt-reserved": 4,
  "qcow2-prompt-slow-data": 4,
  "qcow2-prompt-kept-place": 1,
  "qcow2-prompt-reuse-beside": 1,
  "qcow2-prompt-storm": 0,
  "qcow2-prompt-storm-shared": 0,
  "qcow2-prompt-storm-places": 0,
  "qcow2-snapshot-beside": 1,
  "qcow2-snapshot-life": 0,
  "qcow2-snapshot-in-place": 1,
  "qcow2-snapshot-storm": 0,
  "qcow2-cleaner-storm": 0,
  "qcow2-bitmap-life": 0,
  "qcow2-bitmap-requests": 0,
  "qcow2-encrypted-copies": 0,
};

/** Disks that are built at each moment. The command tries more. */
const BOUND = 10;

const seedsOf = ({ name }: Scenario, seeds: Readonly<Record<string, number>>): number | undefined => seeds[name];

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

describe("every schedule", () => {
  for (const scenario of QCOW2_SCENARIOS.filter((each) => seedsOf(each, SEEDS) === undefined)) {
    test(`${scenario.name}: ${scenario.about}`, async () => {
      const { schedules, complete } = await expectNoFailure(scenario, { mode: "exhaustive", maxSchedules: 20_000 });
      expect(complete).toBe(true);
      tell(`${scenario.name}: ${schedules.toLocaleString("en")} schedules, all there are`);
    });
  }
});

describe("many schedules", () => {
  for (const scenario of QCOW2_SCENARIOS) {
    const seeds = seedsOf(scenario, SEEDS);
    if (seeds === undefined) continue;
    test(`${scenario.name}: ${scenario.about}`, async () => {
      const { schedules } = await expectNoFailure(scenario, { mode: "random", seeds });
      expect(schedules).toBe(seeds);
      tell(`${scenario.name}: ${schedules.toLocaleString("en")} schedules, by seeds`);
    });
  }
});

describe("power cuts", () => {
  for (const scenario of QCOW2_SCENARIOS) {
    const seeds = seedsOf(scenario, CUT_SEEDS);
    if (seeds === undefined) continue;
    test(`${scenario.name}: ${scenario.about}`, async () => {
      const numbers = Array.from({ length: seeds }, (_, index) => index + 1);
      const { cuts, moments } = await expectPowerCutsHarmless(scenario, { seeds: numbers, bound: BOUND });
      expect(cuts).toBeGreaterThan(moments);
      tell(`${scenario.name}: ${cuts.toLocaleString("en")} power cuts at ${moments} moments`);
    });
  }
});

describe("a protection that is taken out is missed", () => {
  for (const mutation of [
    ...QCOW2_MUTATIONS,
    ...QCOW2_PLACE_MUTATIONS,
    ...QCOW2_REFCOUNT_MUTATIONS,
    ...QCOW2_SNAPSHOT_MUTATIONS,
    ...QCOW2_BITMAP_MUTATIONS,
    ...QCOW2_CLEANER_MUTATIONS,
    ...QCOW2_ENCRYPTION_MUTATIONS,
  ]) {
    test(`${mutation.name}: ${mutation.about}`, async () => {
      const { status, output } = await runMutated(mutation);
      expect(output).toMatch(mutation.found);
      expect(output).toContain(`again: npm run explore -- --scenario ${mutation.scenario} --mutation ${mutation.name} --schedule `);
      expect(status).toBe(1);
    });
  }
});
