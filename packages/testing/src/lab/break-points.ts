/** Places in drivers where a coroutine stands still until it is told to go on, in the manner of QEMU's blkdebug. */

import type { BlockEvent } from "@coblock/core";

interface Suspended {
  readonly tag: string;
  go(): void;
}

/** A break point counts once: whoever reaches its event next is suspended there under its tag. */
export class BreakPoints {
  readonly #waiting: { readonly event: BlockEvent; readonly tag: string }[] = [];
  #suspended: Suspended[] = [];
  #watchers: { readonly tag: string; seen(): void }[] = [];

  /** Tags of those that stand still now. */
  get suspended(): readonly string[] {
    return this.#suspended.map(({ tag }) => tag);
  }

  /** The next coroutine that reaches `event` is suspended as `tag`. */
  set(event: BlockEvent, tag: string): void {
    this.#waiting.push({ event, tag });
  }

  /** Forgets the break points with `tag` that nobody has reached. `false`: there is none. */
  remove(tag: string): boolean {
    const index = this.#waiting.findIndex((point) => point.tag === tag);
    if (index >= 0) this.#waiting.splice(index, 1);
    return index >= 0;
  }

  /** Resolves when a coroutine is suspended as `tag`. */
  reached(tag: string): Promise<void> {
    if (this.suspended.includes(tag)) return Promise.resolve();
    return new Promise((seen) => this.#watchers.push({ tag, seen }));
  }

  /** Lets the first that is suspended as `tag` go on. `false`: there is none. */
  resume(tag: string): boolean {
    const index = this.#suspended.findIndex((suspended) => suspended.tag === tag);
    const [suspended] = index < 0 ? [] : this.#suspended.splice(index, 1);
    suspended?.go();
    return suspended !== undefined;
  }

  /** A coroutine is at `event`: a promise stops it there. */
  at(event: BlockEvent): Promise<void> | undefined {
    const index = this.#waiting.findIndex((point) => point.event === event);
    const [point] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (point === undefined) return undefined;
    return new Promise((go) => {
      this.#suspended.push({ tag: point.tag, go });
      const seen = this.#watchers.filter(({ tag }) => tag === point.tag);
      this.#watchers = this.#watchers.filter((watcher) => !seen.includes(watcher));
      for (const watcher of seen) watcher.seen();
    });
  }
}
