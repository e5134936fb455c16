/** The rules at work: what state the test is in, and which errors are due. */

import { BlockError, hex, type BlockEvent, type Clock, type MaybePromise } from "@coblock/core";
import type { InjectErrorRule, IoType, Rule } from "./rules.ts";
import { SuspendedRequests } from "./suspended-requests.ts";

const FIRST_STATE = 1;

/** A request as rules look at it; bytes. */
export interface CheckedRequest {
  readonly ioType: IoType;
  readonly offset: number;
  readonly length: number;
}

/** QEMU's order: of the rules for an event the last given comes first, and of the errors that are due the first given. */
export class RuleEngine {
  readonly suspended: SuspendedRequests;
  readonly #clock: Clock;
  readonly #nodeName: string;
  #rules: readonly Rule[];
  #due: readonly InjectErrorRule[] = [];
  #state = FIRST_STATE;

  constructor(rules: readonly Rule[], clock: Clock, nodeName: string) {
    this.#clock = clock;
    this.#nodeName = nodeName;
    this.#rules = [...rules].reverse();
    this.suspended = new SuspendedRequests();
    void this.event("none");
  }

  get state(): number {
    return this.#state;
  }

  /** Errors that an earlier event made due are no longer, if this one has any. */
  event(name: BlockEvent): MaybePromise<void> {
    const rules = this.#rules.filter((rule) => rule.event === name && (rule.state === 0 || rule.state === this.#state));
    const injected = rules.filter((rule) => rule.kind === "inject-error").reverse();
    if (injected.length > 0) this.#due = injected;
    for (const rule of rules) if (rule.kind === "set-state") this.#state = rule.newState;
    return this.suspended.pass(name);
  }

  /** Fails where an error is due for the request; `immediately`: with no turn of the event loop before. */
  check(request: CheckedRequest): MaybePromise<void> {
    const rule = this.#due.find((due) => fits(due, request));
    if (rule?.errno === undefined) return undefined;
    if (rule.once) {
      this.#due = this.#due.filter((due) => due !== rule);
      this.#rules = this.#rules.filter((known) => known !== rule);
    }
    const error = this.#errorOf(rule.errno, request);
    if (rule.immediately) throw error;
    return this.#clock.yield().then(() => {
      throw error;
    });
  }

  #errorOf(errno: string, { ioType, offset, length }: CheckedRequest): BlockError {
    const message = `${this.#nodeName}: ${errno} was asked for at ${ioType} of ${length} bytes at offset ${hex(offset)}`;
    return new BlockError(errno === "ENOSPC" ? "NO_SPACE" : "IO", message, { node: this.#nodeName, offset, errno });
  }
}

function fits({ ioType, offset: place }: InjectErrorRule, request: CheckedRequest): boolean {
  if (ioType === undefined ? request.ioType === "block-status" : ioType !== request.ioType) return false;
  return place === undefined || (place >= request.offset && place < request.offset + request.length);
}
