/** The open nodes of one graph, by name. */

import { BlockError } from "../errors.ts";
import type { BlockNode } from "../node.ts";

export class NodeTable {
  /** `undefined`: a name that is taken by a node being opened. */
  readonly #nodes = new Map<string, BlockNode | undefined>();
  #unnamed = 0;

  /** Takes the name, or makes one (`#block0`, `#block1`, …). Throws INVALID_OPTION for a name that is in use. */
  reserve(wanted: string | undefined): string {
    const name = wanted ?? `#block${this.#unnamed++}`;
    if (this.#nodes.has(name)) throw new BlockError("INVALID_OPTION", `a node is already called '${name}'`, { node: name });
    this.#nodes.set(name, undefined);
    return name;
  }

  /** The node is open: its children are, and come before it. */
  add(node: BlockNode): void {
    this.#nodes.delete(node.name);
    this.#nodes.set(node.name, node);
  }

  release(name: string): void {
    this.#nodes.delete(name);
  }

  get(name: string): BlockNode | undefined {
    return this.#nodes.get(name);
  }

  /** Children before their parents. */
  list(): BlockNode[] {
    return [...this.#nodes.values()].filter((node) => node !== undefined);
  }
}
