/** Protections that can be taken out, one at a time: the lab must find what they prevent. */

import { COROUTINE_MUTATIONS } from "./mutations/coroutines.ts";
import { HTTP_MUTATIONS } from "./mutations/http.ts";
import { NBD_MUTATIONS } from "./mutations/nbd.ts";
import { QCOW2_BITMAP_MUTATIONS } from "./mutations/qcow2-bitmaps.ts";
import { QCOW2_CLEANER_MUTATIONS } from "./mutations/qcow2-cleaner.ts";
import { QCOW2_ENCRYPTION_MUTATIONS } from "./mutations/qcow2-encryption.ts";
import { JOB_MUTATIONS } from "./mutations/jobs.ts";
import { QCOW2_MUTATIONS } from "./mutations/qcow2.ts";
import { QCOW2_PLACE_MUTATIONS } from "./mutations/qcow2-places.ts";
import { QCOW2_REFCOUNT_MUTATIONS } from "./mutations/qcow2-refcounts.ts";
import { QCOW2_SNAPSHOT_MUTATIONS } from "./mutations/qcow2-snapshots.ts";
import { QED_MUTATIONS } from "./mutations/qed.ts";

/** One change of the sources; `find` must fit in exactly one place. */
export interface SourceEdit {
  /** Below `packages/`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutation {
  readonly name: string;
  /** What is switched off. */
  readonly about: string;
  /** Which scenario finds it. */
  readonly scenario: string;
  /** How: a walk over all schedules, seeds, or power cuts. */
  readonly by: "exhaustive" | "random" | "power-cut";
  readonly edits: readonly SourceEdit[];
  /** What the report must say. */
  readonly found: RegExp;
}

export const MUTATIONS: readonly Mutation[] = [
  ...COROUTINE_MUTATIONS,
  ...QED_MUTATIONS,
  ...QCOW2_MUTATIONS,
  ...QCOW2_PLACE_MUTATIONS,
  ...QCOW2_REFCOUNT_MUTATIONS,
  ...QCOW2_SNAPSHOT_MUTATIONS,
  ...QCOW2_BITMAP_MUTATIONS,
  ...QCOW2_CLEANER_MUTATIONS,
  ...QCOW2_ENCRYPTION_MUTATIONS,
  ...JOB_MUTATIONS,
  ...NBD_MUTATIONS,
  ...HTTP_MUTATIONS,
];

/** Throws where there is none of that name. */
export function mutationOf(name: string): Mutation {
  const found = MUTATIONS.find((mutation) => mutation.name === name);
  if (found === undefined)
    throw new Error(`there is no mutation '${name}'; there are: ${MUTATIONS.map((mutation) => mutation.name).join(", ")}`);
  return found;
}
