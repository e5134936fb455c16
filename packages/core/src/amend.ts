/** Options that an image is amended with, before its driver sees them. */

import type { CreateValue } from "./creation.ts";
import type { BlockDriver } from "./driver.ts";
import { BlockError } from "./errors.ts";

/** Throws UNSUPPORTED_FEATURE where the driver can amend nothing, and INVALID_OPTION for what it does not know. */
export function checkAmendment(
  { name: driver, amendOptions }: Pick<BlockDriver, "name" | "amendOptions">,
  values: Readonly<Record<string, CreateValue>>,
  { fileName, name: node }: { readonly fileName: string; readonly name: string },
): void {
  if (amendOptions === undefined)
    throw new BlockError("UNSUPPORTED_FEATURE", `${fileName}: driver '${driver}' cannot amend options of an image`, { node });
  const unknown = Object.keys(values).find((name) => !amendOptions.some((option) => option.name === name));
  if (unknown === undefined) return;
  const known = amendOptions.map((option) => option.name).join(", ");
  const message = `${fileName}: option '${unknown}' cannot be amended; driver '${driver}' can amend ${known}`;
  throw new BlockError("INVALID_OPTION", message, { node });
}
