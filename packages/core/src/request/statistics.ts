/** What went through a node: operations, bytes and failures by kind of request. */

import type { RequestKind } from "./tracker.ts";

export interface RequestCount {
  operations: number;
  bytes: number;
  failures: number;
}

/** Counted when a request has ended. */
export class RequestStatistics {
  readonly read: RequestCount = none();
  readonly write: RequestCount = none();
  readonly writeZeroes: RequestCount = none();
  readonly discard: RequestCount = none();
  readonly flush: RequestCount = none();

  of(kind: RequestKind): RequestCount {
    return kind === "write zeroes" ? this.writeZeroes : this[kind];
  }

  /** A copy that does not change. */
  snapshot(): Record<"read" | "write" | "writeZeroes" | "discard" | "flush", RequestCount> {
    return {
      read: { ...this.read },
      write: { ...this.write },
      writeZeroes: { ...this.writeZeroes },
      discard: { ...this.discard },
      flush: { ...this.flush },
    };
  }
}

function none(): RequestCount {
  return { operations: 0, bytes: 0, failures: 0 };
}
