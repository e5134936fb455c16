/** An oracle: who holds, waits and is in flight, from what a graph says of itself. */

import type { BlockGraph, LockReport } from "@coblock/core";

/** What `BlockNode.inspect` tells, as far as it matters here. */
interface NodeReport {
  readonly name: string;
  readonly requests?: readonly { readonly kind: string; readonly offset: number; readonly length: number }[];
  readonly locks?: readonly LockReport[];
  readonly image?: {
    readonly claims?: { readonly held: readonly string[]; readonly waiting: readonly string[] };
    readonly allocations?: { readonly taken: number; readonly waiting: readonly string[] };
  };
}

/** One line for each that is held or in flight. */
export function held(graph: BlockGraph): readonly string[] {
  return (graph.inspect().nodes as readonly NodeReport[]).flatMap(({ name, requests = [], locks = [], image }) => [
    ...requests.map(({ kind, offset, length }) => `${name}: ${kind} 0x${offset.toString(16)}+${length} is in flight`),
    ...locks.flatMap((lock) => lock.holders.map(({ who }) => `lock "${lock.name}" is held by ${who}`)),
    ...(image?.claims?.held ?? []).map((claim) => `${name}: claim of ${claim} is held`),
    ...((image?.allocations?.taken ?? 0) > 0 ? [`${name}: ${image?.allocations?.taken ?? 0} allocations are under way`] : []),
  ]);
}

/** One line for each that waits. */
export function waiting(graph: BlockGraph): readonly string[] {
  return (graph.inspect().nodes as readonly NodeReport[]).flatMap(({ name, locks = [], image }) => [
    ...locks.flatMap((lock) => lock.waiters.map(({ who }) => `${who} waits for lock "${lock.name}"`)),
    ...(image?.claims?.waiting ?? []).map((claim) => `${name}: ${claim} waits for its claim`),
    ...(image?.allocations?.waiting ?? []).map((who) => `${name}: ${who} waits to allocate`),
  ]);
}
