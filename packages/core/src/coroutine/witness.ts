/** Who is told which shared objects the coroutines touch: the lab finds with it which steps are independent of each other. Production has none. */

import { assert } from "../errors.ts";

/** How a touch commutes: two reads do, two adds (they count up or down, and look at nothing that an add changes) do, all else does not. */
export type TouchKind = "read" | "add" | "write";

/** Is told of each touch, within the turn of the coroutine that makes it. Must not touch shared objects itself. */
export interface Witness {
  touched(object: object, kind: TouchKind): void;
}

let present: Witness | undefined;

/** Sets the witness of this thread until the result is disposed. Throws where there is one already. */
export function observeTouches(witness: Witness): Disposable {
  assert(present === undefined, "two witnesses observe the touches of one thread");
  present = witness;
  return {
    [Symbol.dispose]: () => {
      if (present === witness) present = undefined;
    },
  };
}

/** @internal Whether touches are observed: asked once by those who would report several. */
export function observed(): boolean {
  return present !== undefined;
}

/**
 * @internal Called by whatever coroutines share, in each turn in which it is changed or decides what a coroutine does next. Reports
 * (`inspect`), statistics, and values that only the holder of a lock can reach are left out: the lock is touched for them.
 */
export function touch(object: object, kind: TouchKind): void {
  if (present !== undefined) present.touched(object, kind);
}
