/** What a node is made of. */

import type { DirtyBitmap } from "./bitmap/dirty-bitmap.ts";
import type { BlockChild } from "./child.ts";
import type { Clock } from "./coroutine/clock.ts";
import type { LockReport } from "./coroutine/held.ts";
import type { BlockDriver, BlockImage } from "./driver.ts";
import type { BlockNode } from "./node.ts";
import type { TurnBudget } from "./request/turn-budget.ts";

/** How a node is put together; the graph alone does it. */
export interface BlockNodeParts {
  readonly name: string;
  readonly driver: BlockDriver;
  readonly fileName: string;
  readonly readOnly: boolean;
  /** Opened to be checked: nothing is written but repairs. */
  readonly forCheck: boolean;
  readonly discard: "ignore" | "unmap";
  /** See `CommonOptions.detectZeroes`. */
  readonly detectZeroes: "off" | "on" | "unmap";
  readonly noFlush: boolean;
  readonly image: BlockImage;
  /** What its bitmaps were loaded as, where it is writable and has some. */
  readonly loadedBitmaps?: readonly DirtyBitmap[] | undefined;
  readonly children: Map<string, BlockChild>;
  readonly locks: () => readonly LockReport[];
  readonly clock: Clock;
  readonly turns: TurnBudget;
  readonly onClosed: (node: BlockNode) => void;
}
