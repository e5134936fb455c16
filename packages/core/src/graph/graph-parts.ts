/** What the nodes of one graph share. */

import type { Clock } from "../coroutine/clock.ts";
import type { Offload } from "../coroutine/offload.ts";
import type { ChildRole } from "../driver.ts";
import type { Entropy } from "../host/entropy.ts";
import type { SecretTable } from "../secrets.ts";
import type { TurnBudget } from "../request/turn-budget.ts";
import type { DriverTable } from "./driver-table.ts";
import type { NodeTable } from "./node-table.ts";

/** An image asks to open a file that it names itself. */
export interface ImplicitOpen {
  /** File name of the image. */
  readonly image: string;
  readonly role: ChildRole;
  /** The resolved name. */
  readonly target: string;
  readonly format: string | undefined;
}

/** Whether images may open the files that they name. */
export type ImplicitOpenRule = "allow" | "deny" | ((request: ImplicitOpen) => boolean);

export interface GraphParts {
  readonly drivers: DriverTable;
  readonly nodes: NodeTable;
  readonly clock: Clock;
  readonly offload: Offload;
  readonly entropy: Entropy;
  readonly secrets: SecretTable;
  readonly turns: TurnBudget;
  readonly implicitOpen: ImplicitOpenRule;
}
