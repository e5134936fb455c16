/** Space of the image file, or what is in it, that is given up: handed to core, with a word on whether the host gets it back. */

import type { BlockChild, OpenContext } from "@coblock/core";

/** Who gave it up: the guest with a discard or zeros, a snapshot that goes, a disk that shrinks, or any other change. */
export type FreedBy = "request" | "snapshot" | "shrink" | "other";

export class FreedSpace {
  readonly #file: BlockChild;
  readonly #context: Pick<OpenContext, "retire" | "empty">;
  #passed: ReadonlySet<FreedBy> = new Set();
  #keepsPlaces = false;

  constructor(file: BlockChild, context: Pick<OpenContext, "retire" | "empty">) {
    this.#file = file;
    this.#context = context;
  }

  /** A cluster that the guest discards keeps its place. */
  get keepsPlaces(): boolean {
    return this.#keepsPlaces;
  }

  setKeepsPlaces(keepsPlaces: boolean): void {
    this.#keepsPlaces = keepsPlaces;
  }

  /** The host gets back what is given up for these reasons. */
  pass(passed: ReadonlySet<FreedBy>): void {
    this.#passed = passed;
  }

  /** Whole clusters at `offset`, whose last reference is gone. */
  retire(offset: number, length: number, by: FreedBy): void {
    if (length > 0) this.#context.retire({ child: this.#file, childOffset: offset, length }, { discard: this.#passed.has(by) });
  }

  /** What is in whole clusters of `child`, whose only owner reads zeros from now on and keeps them. */
  empty(child: BlockChild, offset: number, length: number, by: FreedBy): void {
    if (length > 0 && this.#passed.has(by)) this.#context.empty({ child, childOffset: offset, length });
  }
}
