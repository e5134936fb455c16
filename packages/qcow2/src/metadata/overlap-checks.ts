/** Which overlaps are checked: a template, and single kinds that are added or left out, with QEMU's names. */

import { inspect } from "node:util";
import { BlockError } from "@coblock/core";
import type { BehaviourOptions, OverlapChecks, OverlapTemplate } from "../options.ts";
import type { MetadataKind } from "./metadata-map.ts";

type Name = Exclude<keyof OverlapChecks, "template">;

const TEMPLATES: readonly OverlapTemplate[] = ["none", "constant", "cached", "all"];
/** What each kind is in the options, and the first template that has it. */
const KINDS: readonly (readonly [name: Name, kind: MetadataKind, from: OverlapTemplate])[] = [
  ["mainHeader", "header", "constant"],
  ["activeL1", "active L1 table", "constant"],
  ["refcountTable", "refcount table", "constant"],
  ["snapshotTable", "snapshot table", "constant"],
  ["bitmapDirectory", "bitmap directory", "constant"],
  ["activeL2", "active L2 table", "cached"],
  ["refcountBlock", "refcount block", "cached"],
  ["inactiveL1", "inactive L1 table", "cached"],
  ["inactiveL2", "inactive L2 table", "all"],
];

/** Has no name in the options, as with QEMU: every template has it but `none`. */
const KEYS: MetadataKind = "LUKS header";

/** Throws INVALID_OPTION. */
export function checkedKinds(option: BehaviourOptions["overlapCheck"]): ReadonlySet<MetadataKind> {
  const checks: Readonly<Record<string, unknown>> = { ...(typeof option === "object" ? option : { template: option }) };
  const { template = "cached", ...others } = checks;
  const level = TEMPLATES.findIndex((name) => name === template);
  if (level < 0)
    throw new BlockError("INVALID_OPTION", `Unsupported value ${inspect(template)} for overlapCheck: it is one of ${TEMPLATES.join(", ")}`);
  for (const [name, value] of Object.entries(others)) {
    if (!KINDS.some(([known]) => known === name))
      throw new BlockError("INVALID_OPTION", `overlapCheck has no '${name}'; it has template, ${KINDS.map(([known]) => known).join(", ")}`);
    if (value !== undefined && typeof value !== "boolean")
      throw new BlockError("INVALID_OPTION", `overlapCheck.${name} is true or false, not ${inspect(value)}`);
  }
  const chosen = KINDS.filter(([name, , from]) => others[name] ?? TEMPLATES.indexOf(from) <= level).map(([, kind]) => kind);
  return new Set(level === TEMPLATES.indexOf("none") ? chosen : [...chosen, KEYS]);
}
