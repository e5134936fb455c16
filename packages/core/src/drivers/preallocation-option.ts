/** `-o preallocation=…` of drivers that keep guest bytes as they are. */

import type { CreateOption, CreateValue } from "../creation.ts";
import type { Preallocation } from "../driver.ts";
import { BlockError } from "../errors.ts";

/** In the words of qemu-img, which tells of one mode fewer than it takes. */
export const PREALLOCATION_OPTION: CreateOption = {
  name: "preallocation",
  type: "choice",
  choices: ["off", "metadata", "falloc", "full"],
  help: "Preallocation mode (allowed values: off, falloc, full)",
  defaultValue: "off",
};

/** Core checked it against the choices. Throws INVALID_OPTION for metadata, of which there is none. */
export function preallocationOf(values: Readonly<Record<string, CreateValue>>): Preallocation {
  const { preallocation } = values;
  if (preallocation === "metadata") throw new BlockError("INVALID_OPTION", "Unsupported preallocation mode: metadata");
  return preallocation === "falloc" || preallocation === "full" ? preallocation : "off";
}
