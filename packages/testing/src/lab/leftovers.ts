/** An oracle: who holds, waits and is in flight, from what a graph and the locks beside it say of themselves. */

import { hex, type BlockGraph, type LockReport } from "@coblock/core";

/** What `BlockNode.inspect` tells, as far as it matters here. */
interface NodeReport {
  readonly name: string;
  readonly requests?: readonly { readonly kind: string; readonly offset: number; readonly length: number }[];
  readonly locks?: readonly LockReport[];
  readonly image?: {
    readonly claims?: { readonly held: readonly string[]; readonly waiting: readonly string[] };
    readonly allocations?: { readonly taken: number; readonly plugged: boolean; readonly waiting: readonly string[] };
  };
}

/** What can say who waits: a mutex, a read-write lock, a queue. */
export interface Inspected {
  inspect(): LockReport;
}

/** What is looked at. */
export interface Inspectable {
  readonly graph: BlockGraph;
  /** Locks that no graph knows. */
  readonly watchedLocks: readonly Inspected[];
}

/** One line for each request that a node has in flight. */
export function requests({ graph }: Inspectable): readonly string[] {
  return reportsOf(graph).flatMap(({ name, requests: own = [] }) =>
    own.map(({ kind, offset, length }) => `${name}: ${kind} ${hex(offset)}+${length} is in flight`),
  );
}

/** One line for each lock, claim and slot that is held. */
export function held({ graph, watchedLocks }: Inspectable): readonly string[] {
  return [...reportsOf(graph).flatMap(heldIn), ...watchedLocks.flatMap((lock) => holdersOf(lock.inspect()))];
}

/** One line for each that waits. */
export function waiting({ graph, watchedLocks }: Inspectable): readonly string[] {
  return [...reportsOf(graph).flatMap(waitingIn), ...watchedLocks.flatMap((lock) => waitersOf(lock.inspect()))];
}

function reportsOf(graph: BlockGraph): readonly NodeReport[] {
  return graph.inspect().nodes as readonly NodeReport[];
}

function heldIn({ name, locks = [], image }: NodeReport): readonly string[] {
  return [
    ...locks.flatMap(holdersOf),
    ...(image?.claims?.held ?? []).map((claim) => `${name}: claim of ${claim} is held`),
    ...((image?.allocations?.taken ?? 0) > 0 ? [`${name}: ${image?.allocations?.taken ?? 0} allocations are under way`] : []),
    ...(image?.allocations?.plugged === true ? [`${name}: allocations are plugged`] : []),
  ];
}

function waitingIn({ name, locks = [], image }: NodeReport): readonly string[] {
  return [
    ...locks.flatMap(waitersOf),
    ...(image?.claims?.waiting ?? []).map((claim) => `${name}: ${claim} waits for its claim`),
    ...(image?.allocations?.waiting ?? []).map((who) => `${name}: ${who} waits to allocate`),
  ];
}

function holdersOf({ name, holders }: LockReport): readonly string[] {
  return holders.map(({ who }) => `lock "${name}" is held by ${who}`);
}

function waitersOf({ name, waiters }: LockReport): readonly string[] {
  return waiters.map(({ who }) => `${who} waits for lock "${name}"`);
}
