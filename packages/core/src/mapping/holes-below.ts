/** Block status that looks below a format: data of which the host has stored nothing reads as zeros. */

import type { BlockChild } from "../child.ts";
import type { MappedImage, MaybePromise, RunStatus } from "../driver.ts";

/** Asks the file below only where the format says that this is worth while. */
export class HolesBelow {
  readonly #image: MappedImage;
  #answer: boolean | undefined;
  #asked: Promise<boolean> | undefined;

  constructor(image: MappedImage) {
    this.#image = image;
    if (image.hasHolesBelow === undefined) this.#answer = false;
  }

  /** The run, or the first part of it that is all stored or all a hole. */
  refine(found: MaybePromise<RunStatus>): MaybePromise<RunStatus> {
    return this.#answer === false ? found : this.#look(found);
  }

  async #look(found: MaybePromise<RunStatus>): Promise<RunStatus> {
    const run = await found;
    const { kind, length, location } = run;
    if (kind !== "data" || location === undefined || !(await this.#ask())) return run;
    const { child, childOffset } = location;
    const below = await stateOf(child, childOffset, length);
    const part = { length: below.length, location: { ...location, length: below.length } };
    return below.isHole ? { kind: "zero", holeBelow: true, ...part } : { kind, ...part };
  }

  async #ask(): Promise<boolean> {
    this.#asked ??= this.#image.hasHolesBelow?.();
    this.#answer ??= await this.#asked;
    return this.#answer ?? false;
  }
}

/** What lies behind the end of a file is a hole, however long. */
async function stateOf(child: BlockChild, offset: number, length: number): Promise<{ readonly isHole: boolean; readonly length: number }> {
  const inside = Math.min(length, child.size - offset);
  if (inside <= 0) return { isHole: true, length };
  const run = await child.status(offset, inside);
  const isHole = run.kind === "zero" || run.kind === "unallocated";
  return { isHole, length: isHole && offset + run.length >= child.size ? length : run.length };
}
