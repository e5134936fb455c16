/** All scenarios, by name. */

import type { Scenario } from "@coblock/testing";
import { COROUTINE_SCENARIOS } from "./scenarios/coroutine-scenarios.ts";
import { HTTP_SCENARIOS } from "./scenarios/http-scenarios.ts";
import { JOB_SCENARIOS } from "./scenarios/job-scenarios.ts";
import { NBD_SCENARIOS } from "./scenarios/nbd-scenarios.ts";
import { QCOW2_SCENARIOS } from "./scenarios/qcow2-scenarios.ts";
import { QED_SCENARIOS } from "./scenarios/qed-scenarios.ts";

export const SCENARIOS: readonly Scenario[] = [
  ...QED_SCENARIOS,
  ...QCOW2_SCENARIOS,
  ...JOB_SCENARIOS,
  ...COROUTINE_SCENARIOS,
  ...NBD_SCENARIOS,
  ...HTTP_SCENARIOS,
];

/** Throws where there is none of that name. */
export function scenarioOf(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found === undefined)
    throw new Error(`there is no scenario '${name}'; there are: ${SCENARIOS.map((scenario) => scenario.name).join(", ")}`);
  return found;
}
