/** Tracing through `node:diagnostics_channel`: `coblock:request:start` and `coblock:request:end`; no cost with no subscriber. */

import { channel } from "node:diagnostics_channel";
import type { RequestKind } from "./tracker.ts";

/** What both channels publish; `error` only at a failed end. */
export interface RequestTrace {
  readonly node: string;
  readonly kind: RequestKind;
  readonly offset: number;
  readonly length: number;
  readonly error?: unknown;
}

const start = channel("coblock:request:start");
const end = channel("coblock:request:end");

/** Whether anybody listens. */
export function traced(): boolean {
  return start.hasSubscribers || end.hasSubscribers;
}

/** Says that a request begins. */
export function publishStart(node: string, kind: RequestKind, offset: number, length: number): void {
  if (start.hasSubscribers) start.publish({ node, kind, offset, length } satisfies RequestTrace);
}

/** Says that a request ended, with its error if it failed. */
export function publishEnd(node: string, kind: RequestKind, offset: number, length: number, error?: unknown): void {
  if (end.hasSubscribers) end.publish({ node, kind, offset, length, ...(error === undefined ? {} : { error }) } satisfies RequestTrace);
}
