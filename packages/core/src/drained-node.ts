/** A node while it is drained. */

import { BlockError } from "./errors.ts";
import type { BlockNode } from "./node.ts";

/** The drainer's own way in while everyone else waits; disposing lets the others go on, and ends it. */
export interface DrainedNode extends AsyncDisposable {
  read(offset: number, into: Uint8Array): Promise<void>;
  write(offset: number, from: Uint8Array): Promise<void>;
  flush(): Promise<void>;
}

/** `resume` lets the others go on; called once. */
export function drainedNode({ name, requests }: BlockNode, resume: () => Promise<void>): DrainedNode {
  let isDrained = true;
  const expectDrained = (): void => {
    if (!isDrained) throw new BlockError("CLOSED", `${name} is not drained any more`, { node: name });
  };
  return {
    read: async (offset, into) => {
      expectDrained();
      await requests.readInside(offset, into);
    },
    write: async (offset, from) => {
      expectDrained();
      await requests.writeInside(offset, from);
    },
    flush: async () => {
      expectDrained();
      await requests.flushInside();
    },
    [Symbol.asyncDispose]: async () => {
      isDrained = false;
      await resume();
    },
  };
}
