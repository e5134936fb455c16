/** All scenarios, by name. */

import type { Scenario } from "@coblock/testing";
import { qedEvict } from "./scenarios/qed-evict.ts";

export const SCENARIOS: readonly Scenario[] = [qedEvict];

/** Throws where there is none of that name. */
export function scenarioOf(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`there is no scenario '${name}'; there are: ${SCENARIOS.map((scenario) => scenario.name).join(", ")}`);
  return found;
}
