/** The caches of an open image as a whole: their options, which `reopen` changes, and the cleaner. */

import type { Clock, Guarded, PreparedReopen } from "@coblock/core";
import type { Geometry } from "../format/geometry.ts";
import { CacheCleaner } from "../metadata/cache-cleaner.ts";
import { type CacheSizes, cacheSizesOf, cleanIntervalMsOf } from "../metadata/cache-sizes.ts";
import type { Metadata } from "../metadata/metadata.ts";
import type { CacheOptions } from "../options.ts";

export class CacheControl {
  readonly #state: Guarded<Metadata>;
  readonly #geometry: Geometry;
  readonly #cleaner: CacheCleaner;
  #options: CacheOptions;

  /** Starts the cleaner. Throws INVALID_OPTION; then it has not. */
  constructor(state: Guarded<Metadata>, geometry: Geometry, clock: Clock, options: CacheOptions) {
    this.#state = state;
    this.#geometry = geometry;
    this.#options = options;
    this.#cleaner = new CacheCleaner(state, clock, cleanIntervalMsOf(options));
  }

  /** Stops the cleaner until the result is disposed. */
  async quiesce(): Promise<AsyncDisposable> {
    const stopped = await this.#cleaner.stop();
    return { [Symbol.asyncDispose]: async () => stopped[Symbol.dispose]() };
  }

  /**
   * In exclusive mode: everything is written out, also refcounts that stayed behind, and the cleaner is stopped, then nothing can fail any
   * more. Options that are `undefined` have their defaults. Throws INVALID_OPTION, and IO where a table cannot be written.
   */
  async prepare(options: CacheOptions, diskSize: number): Promise<PreparedReopen> {
    const sizes = cacheSizesOf(options, this.#geometry, diskSize);
    const intervalMs = cleanIntervalMsOf(options);
    using guard = await this.#state.lock({ who: "reopen" });
    await guard.value.writable?.writeOut.clean();
    const stopped = await this.#cleaner.stop(guard);
    return {
      commit: async () => {
        await this.#keep(sizes);
        this.#options = options;
        this.#cleaner.changeInterval(intervalMs);
        stopped[Symbol.dispose]();
      },
      abort: async () => stopped[Symbol.dispose](),
    };
  }

  /** In exclusive mode, with everything written out: the disk has another size now. */
  async fit(diskSize: number): Promise<void> {
    using _stopped = await this.#cleaner.stop();
    await this.#keep(cacheSizesOf(this.#options, this.#geometry, diskSize));
  }

  async #keep(sizes: CacheSizes): Promise<void> {
    using guard = await this.#state.lock({ who: "new cache sizes" });
    guard.value.l2.resize(sizes);
    guard.value.writable?.refcounts.blocks.setCapacity(sizes.blockCount);
  }
}
