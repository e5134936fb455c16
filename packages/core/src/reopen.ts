/** Options of open images changed in three phases: all changes are prepared, then all are committed, or all aborted. */

import type { BlockDriver } from "./driver.ts";
import { parentsFirst } from "./chain.ts";
import { BlockError } from "./errors.ts";
import type { BlockNode } from "./node.ts";
import type { DriverOptions } from "./options.ts";

/** Options by name. Those that are not named stay as they are, and `undefined` brings the default back. */
export type ReopenOptions = {
  [Driver in keyof DriverOptions]: { readonly [Option in keyof DriverOptions[Driver]]?: DriverOptions[Driver][Option] | undefined };
}[keyof DriverOptions];

/** Other options, prepared: one of the two is called, once, still in exclusive mode. Neither does I/O nor fails. */
export interface PreparedReopen {
  commit(): Promise<void>;
  abort(): Promise<void>;
}

/** What shall change in one node. */
export interface NodeChange {
  readonly node: BlockNode;
  readonly options: ReopenOptions;
}

/** Called with each node in exclusive mode, so that no request is beside; all of them, or none is changed. */
export async function reopenNodes(changes: readonly NodeChange[]): Promise<void> {
  const nodes = new Set(changes.map(({ node }) => node));
  if (nodes.size < changes.length) throw new BlockError("INVALID_OPTION", "a node cannot be changed twice at one time");
  // Parents first, as in a drain: what they still have to write goes to children that are open for it.
  await reopenFrom([...changes].sort((left, right) => parentsFirst(left.node, right.node)));
}

async function reopenFrom([change, ...others]: readonly NodeChange[]): Promise<void> {
  if (change === undefined) return;
  const { node, options } = change;
  await node.exclusive(async () => {
    const prepared = await node.prepareReopen(options);
    try {
      await reopenFrom(others);
    } catch (error) {
      await prepared.abort();
      throw error;
    }
    await prepared.commit();
  });
}

/** The options that a driver can change. Throws UNSUPPORTED_FEATURE where there are none, INVALID_OPTION for others. */
export function checkReopenOptions(
  { name, optionNames, reopenOptionNames = [] }: BlockDriver,
  options: object,
  fileName: string,
  node: string,
): void {
  const wrong = Object.keys(options).find((option) => !reopenOptionNames.includes(option));
  if (wrong === undefined) return;
  if (reopenOptionNames.length === 0)
    throw new BlockError("UNSUPPORTED_FEATURE", `${fileName}: driver '${name}' has no options that can be changed while it is open`, {
      node,
    });
  const problem = optionNames.includes(wrong)
    ? `option '${wrong}' cannot be changed while the image is open`
    : `driver '${name}' has no option '${wrong}' that could be changed`;
  throw new BlockError("INVALID_OPTION", `${fileName}: ${problem}; it can change ${reopenOptionNames.join(", ")}`, { node });
}

/** For an image that has nothing to change. */
export const NOTHING_TO_REOPEN: PreparedReopen = { commit: () => Promise.resolve(), abort: () => Promise.resolve() };
