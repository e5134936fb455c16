/** Space of the image file that is given up: handed to core, with a word on whether the host gets it back. */

import type { BlockChild, OpenContext } from "@coblock/core";

/** Who gave it up: the guest with a discard or zeros, a snapshot that goes, a disk that shrinks, or any other change. */
export type FreedBy = "request" | "snapshot" | "shrink" | "other";

export class FreedSpace {
  readonly #file: BlockChild;
  readonly #retire: OpenContext["retire"];
  #passed: ReadonlySet<FreedBy> = new Set();

  constructor(file: BlockChild, retire: OpenContext["retire"]) {
    this.#file = file;
    this.#retire = retire;
  }

  /** The host gets back what is given up for these reasons. */
  pass(passed: ReadonlySet<FreedBy>): void {
    this.#passed = passed;
  }

  /** Whole clusters at `offset`, whose last reference is gone. */
  retire(offset: number, length: number, by: FreedBy): void {
    if (length > 0) this.#retire({ child: this.#file, childOffset: offset, length }, { discard: this.#passed.has(by) });
  }
}
