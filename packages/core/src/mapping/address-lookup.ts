/** Asks a format where guest bytes are: at once where its lock is free, else waiting for the lock or for a table to load. */

import type { WaitOptions } from "../coroutine/held.ts";
import type { Intent, MappedImage, Mapping, MaybePromise, Wait } from "../driver.ts";
import { assert } from "../errors.ts";

/** A mapping is valid only in the turn in which it was looked up: `use` runs in that turn, and nothing is kept over an await. */
export class AddressLookup {
  readonly #image: MappedImage;

  constructor(image: MappedImage) {
    this.#image = image;
  }

  /** The mapping, `Wait`, or `undefined` where the driver lock is held by someone. */
  now(offset: number, length: number, intent: Intent): Mapping | Wait | undefined {
    const image = this.#image;
    const found = image.state.runSync<Mapping | Wait>((state) => image.lookup(state, offset, length, intent))?.value;
    // Whoever asked may look up again instead of waiting: the failure is met there.
    if (found?.kind === "wait") found.until.catch(() => {});
    return found;
  }

  /** Calls `use` in the turn of the lookup, once; asks anew from the start after every wait. */
  with<Result>(
    offset: number,
    length: number,
    intent: Intent,
    options: WaitOptions | undefined,
    use: (mapping: Mapping) => Result,
  ): MaybePromise<Result> {
    const found = this.now(offset, length, intent);
    if (found !== undefined && found.kind !== "wait") return use(checked(found, length));
    return this.#later(found, offset, length, intent, options, use);
  }

  async #later<Result>(
    first: Mapping | Wait | undefined,
    offset: number,
    length: number,
    intent: Intent,
    options: WaitOptions | undefined,
    use: (mapping: Mapping) => Result,
  ): Promise<Result> {
    for (let found = first; ; found = this.now(offset, length, intent)) {
      const step = found ?? (await this.#underLock(offset, length, intent, options, use));
      if (step.kind === "used") return step.result;
      if (step.kind !== "wait") return use(checked(step, length));
      await step.until;
      options?.signal?.throwIfAborted();
    }
  }

  /** Waits for the lock; `use` runs right after it was given back, in the same turn. */
  async #underLock<Result>(
    offset: number,
    length: number,
    intent: Intent,
    options: WaitOptions | undefined,
    use: (mapping: Mapping) => Result,
  ): Promise<Wait | { readonly kind: "used"; readonly result: Result }> {
    let found: Mapping | Wait;
    {
      using guard = await this.#image.state.lock({
        signal: options?.signal,
        who: `lookup for ${intent} 0x${offset.toString(16)}+${length}`,
      });
      found = this.#image.lookup(guard.value, offset, length, intent);
    }
    return found.kind === "wait" ? found : { kind: "used", result: use(checked(found, length)) };
  }
}

function checked(mapping: Mapping, length: number): Mapping {
  assert(mapping.length > 0 && mapping.length <= length, `a lookup of ${length} bytes answered ${mapping.length}`);
  return mapping;
}
