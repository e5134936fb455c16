/** How a writable image works, beyond its caches: from the options, with QEMU's names, rules and defaults. */

import { inspect } from "node:util";
import { BlockError } from "@coblock/core";
import { LAZY_REFCOUNTS } from "../format/features.ts";
import type { Header } from "../format/header.ts";
import type { BehaviourOptions } from "../options.ts";
import type { MetadataKind } from "./metadata-map.ts";
import type { WritableMetadata } from "./metadata.ts";
import { checkedKinds } from "./overlap-checks.ts";

/** The options, with their defaults. */
export interface Behaviour {
  readonly lazyRefcounts: boolean;
  readonly checked: ReadonlySet<MetadataKind>;
}

/** Throws INVALID_OPTION. */
export function behaviourOf(options: BehaviourOptions, { version, compatible }: Pick<Header, "version" | "compatible">): Behaviour {
  const lazyRefcounts = flag("lazyRefcounts", options.lazyRefcounts) ?? (compatible & LAZY_REFCOUNTS) !== 0n;
  if (lazyRefcounts && version === 2)
    throw new BlockError("INVALID_OPTION", "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
  return { lazyRefcounts, checked: checkedKinds(options.overlapCheck) };
}

/** From the next change on. Where refcounts are no longer to stay behind, none does. */
export function behave({ writeOut, map }: Pick<WritableMetadata, "writeOut" | "map">, { lazyRefcounts, checked }: Behaviour): void {
  writeOut.setLazy(lazyRefcounts);
  map.check(checked);
}

/** Options that came as JSON may be of any type. */
function flag(name: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  throw new BlockError("INVALID_OPTION", `${name} is true or false, not ${inspect(value)}`);
}
