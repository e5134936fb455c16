/** What a driver of a protocol is opened with where there is no graph: for tests. */

import { InlineOffload } from "../coroutine/inline-offload.ts";
import { SystemClock } from "../coroutine/system-clock.ts";
import type { OpenContext } from "../driver.ts";
import { systemEntropy } from "../host/entropy.ts";

/** A writable image that nobody shares, unless `overrides` says else. */
export function bareContext(overrides: Partial<OpenContext> = {}): OpenContext {
  const absent = (): never => {
    throw new Error("a protocol needs no graph");
  };
  return {
    nodeName: "node",
    fileName: "file",
    readOnly: false,
    forCheck: false,
    probed: false,
    discard: "unmap",
    access: { write: true, resize: true, shareWrite: false, shareResize: false, force: false },
    clock: new SystemClock(),
    offload: new InlineOffload(),
    entropy: systemEntropy,
    secret: absent,
    child: absent,
    namedChild: absent,
    retire: absent,
    empty: absent,
    dataBarrier: absent,
    exclusive: absent,
    fail: absent,
    ...overrides,
  };
}
