/** How a writable image works, beyond its caches: from the options, with QEMU's names, rules and defaults. */

import { inspect } from "node:util";
import { BlockError } from "@coblock/core";
import { LAZY_REFCOUNTS } from "../format/features.ts";
import type { Header } from "../format/header.ts";
import type { BehaviourOptions } from "../options.ts";
import type { FreedBy } from "./freed-space.ts";
import type { MetadataKind } from "./metadata-map.ts";
import type { WritableMetadata } from "./metadata.ts";
import { checkedKinds } from "./overlap-checks.ts";

/** The options, with their defaults. */
export interface Behaviour {
  readonly lazyRefcounts: boolean;
  readonly checked: ReadonlySet<MetadataKind>;
  readonly passed: ReadonlySet<FreedBy>;
  readonly discardNoUnref: boolean;
}

/** Throws INVALID_OPTION. */
export function behaviourOf(
  options: BehaviourOptions,
  header: Pick<Header, "version" | "compatible">,
  discard: "ignore" | "unmap" = "ignore",
): Behaviour {
  const { version, compatible } = header;
  const lazyRefcounts = flag("lazyRefcounts", options.lazyRefcounts) ?? (compatible & LAZY_REFCOUNTS) !== 0n;
  if (lazyRefcounts && version === 2)
    throw new BlockError("INVALID_OPTION", "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
  const passed = new Set<FreedBy>(["shrink"]);
  if (flag("passDiscardRequest", options.passDiscardRequest) ?? discard === "unmap") passed.add("request");
  if (flag("passDiscardSnapshot", options.passDiscardSnapshot) ?? true) passed.add("snapshot");
  if (flag("passDiscardOther", options.passDiscardOther) ?? false) passed.add("other");
  const discardNoUnref = flag("discardNoUnref", options.discardNoUnref) ?? false;
  if (discardNoUnref && version === 2) throw new BlockError("INVALID_OPTION", "discardNoUnref is only supported since qcow2 version 3");
  return { lazyRefcounts, checked: checkedKinds(options.overlapCheck), passed, discardNoUnref };
}

/** From the next change on. Where refcounts are no longer to stay behind, none does. */
export function behave(
  { writeOut, map, freed }: Pick<WritableMetadata, "writeOut" | "map" | "freed">,
  { lazyRefcounts, checked, passed, discardNoUnref }: Behaviour,
): void {
  writeOut.setLazy(lazyRefcounts);
  map.check(checked);
  freed.pass(passed);
  freed.setKeepsPlaces(discardNoUnref);
}

/** Options that came as JSON may be of any type. */
function flag(name: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  throw new BlockError("INVALID_OPTION", `${name} is true or false, not ${inspect(value)}`);
}
