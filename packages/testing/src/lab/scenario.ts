/** What is run again and again, in another order each time. */

import type { DriverEntry, Secrets } from "@coblock/core";
import type { Actor } from "./actor.ts";
import type { Lab } from "./lab.ts";
import type { SimStorageOptions } from "./sim-storage.ts";

/** Everything a scenario does must follow from what the lab gives it: no other time, chance or disk. */
export interface Scenario {
  /** Names it on the command line: words with dashes. */
  readonly name: string;
  /** One sentence for people. */
  readonly about: string;
  /** Formats and filters that it opens, beside the simulated disk. */
  readonly drivers: readonly DriverEntry[];
  /** Passphrases and keys by their IDs. Default: none. */
  readonly secrets?: Secrets;
  readonly storage?: SimStorageOptions;
  /** What the image's own check may find, beside leaks, after a power cut or where a fault has struck: told as an error, and none for the data. */
  readonly harmless?: RegExp;
  /** Makes files and opens disks, with nobody beside and nothing left to chance; then says who does what. */
  prepare(lab: Lab): Promise<Play>;
}

/** Who does what. */
export interface Play {
  /** All begin when the schedule says so. */
  readonly actors: Readonly<Record<string, (actor: Actor) => Promise<unknown>>>;
  /** Leaked clusters are all right at the end. Default: where a fault has struck. */
  readonly leaksAllowed?: boolean;
  /** Looks at the outcome, beyond what the lab looks at in every scenario; the disks are still open. */
  readonly judge?: () => Promise<void>;
}
