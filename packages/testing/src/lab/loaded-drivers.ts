/** A scenario whose drivers and codecs are in memory: loading a module takes time that the lab does not rule. */

import { type DriverEntry, loadHostCodecs } from "@coblock/core";
import type { Scenario } from "./scenario.ts";

export async function loaded(scenario: Scenario): Promise<Scenario> {
  await loadHostCodecs();
  const drivers: DriverEntry[] = [];
  for (const entry of scenario.drivers) {
    const driver = await entry.load();
    drivers.push({ ...entry, load: () => Promise.resolve(driver) });
  }
  return { ...scenario, drivers };
}
