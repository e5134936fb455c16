/** Who stands on whom: chains of backing files from the top down, and parents before their children. */

import type { NamedFile } from "./driver.ts";
import { BlockError } from "./errors.ts";
import type { BlockNode } from "./node.ts";

/** A backing file as an image names it, and where its bytes come from from now on. */
export interface NewBacking extends NamedFile {
  readonly node?: BlockNode | undefined;
}

/** The node, its backing file, that one's backing file, and so on. */
export function chainOf(node: BlockNode): BlockNode[] {
  const chain: BlockNode[] = [];
  for (let member: BlockNode | undefined = node; member !== undefined; member = member.children.get("backing")?.node) chain.push(member);
  return chain;
}

/** Throws NOT_ALLOWED where the chain of backing files is not `chain` any more, as a job has found it that relies on it. */
export function expectChain(node: BlockNode, chain: readonly BlockNode[]): void {
  const now = chainOf(node);
  if (now.length === chain.length && now.every((member, depth) => member === chain[depth])) return;
  throw new BlockError("NOT_ALLOWED", `${node.fileName}: its chain of backing files was changed while a job relied on it`, {
    node: node.name,
  });
}

/** What a filter stands before; `undefined` where the node is none. */
export function filteredBy(node: BlockNode): BlockNode | undefined {
  return [...node.children.values()].find(({ role }) => role === "filtered")?.node;
}

/** The backing file of the node, or of what it filters. */
export function backingOf(node: BlockNode): BlockNode | undefined {
  const filtered = filteredBy(node);
  return node.children.get("backing")?.node ?? (filtered && backingOf(filtered));
}

/** Whether two nodes show the same file as the same format. */
export function isSameImage(left: BlockNode, right: BlockNode): boolean {
  return left === right || (left.identity !== undefined && left.identity === right.identity && left.driver === right.driver);
}

/** The node and all above it, each once, in the order in which they are locked: parents before children. */
export function withAncestors(node: BlockNode): BlockNode[] {
  const found = new Set<BlockNode>([node]);
  for (const member of found) for (const parent of member.parents) found.add(parent);
  return [...found].sort(parentsFirst);
}

/** Whether `node`, or one that stands on it, is in the chain of `top`: to put `top` under it would be a loop. */
export function isBelow(node: BlockNode, top: BlockNode): boolean {
  const above = withAncestors(node);
  return chainOf(top).some((member) => above.some((ancestor) => isSameImage(member, ancestor)));
}

/** One order of all nodes, so that nobody who locks several waits in a circle. */
export function parentsFirst(left: BlockNode, right: BlockNode): number {
  return right.serial - left.serial;
}

let lowestSerial = 0;

/** A node that was opened after `parent` becomes its child: it and all below it are locked after the parent from now on. */
export function lowerBelow(node: BlockNode, parent: BlockNode): void {
  if (node.serial < parent.serial) return;
  node.serial = --lowestSerial;
  for (const child of node.children.values()) lowerBelow(child.node, node);
}
