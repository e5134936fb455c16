/** `-o preallocation=…` of drivers that keep guest bytes as they are. */

import type { CreateOption, CreateValue } from "../creation.ts";
import type { Preallocation } from "../driver.ts";

export const PREALLOCATION_OPTION: CreateOption = {
  name: "preallocation",
  type: "choice",
  choices: ["off", "falloc", "full"],
  help: "Preallocation mode (allowed values: off, falloc, full)",
  defaultValue: "off",
};

/** Core checked it against the choices. */
export function preallocationOf(values: Readonly<Record<string, CreateValue>>): Preallocation {
  const { preallocation } = values;
  return preallocation === "falloc" || preallocation === "full" ? preallocation : "off";
}
