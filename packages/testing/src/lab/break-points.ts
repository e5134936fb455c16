/** Places in drivers where a coroutine stands still until it is told to go on, in the manner of QEMU's blkdebug. */

import type { BlockEvent, TouchKind } from "@coblock/core";

interface Suspended {
  readonly event: BlockEvent;
  readonly tag: string;
  go(): void;
}

/** A break point counts once: whoever reaches its event next is suspended there under its tag. */
export class BreakPoints {
  #waiting: readonly { readonly event: BlockEvent; readonly tag: string }[] = [];
  readonly #touch: (kind: TouchKind) => void;
  readonly #suspended: Suspended[] = [];
  #watchers: { readonly tag: string; seen(): void }[] = [];

  /** `touch` tells the walk that the order of steps matters. */
  constructor(touch: (kind: TouchKind) => void) {
    this.#touch = touch;
  }

  /** Tags of those that stand still now. */
  get suspended(): readonly string[] {
    this.#touch("read");
    return this.#suspended.map(({ tag }) => tag);
  }

  /** Those that stand still, as lines for a reader. */
  describe(): readonly string[] {
    return this.#suspended.map(({ event, tag }) => `a coroutine stands still at ${event}, tagged "${tag}"`);
  }

  /** The next coroutine that reaches `event` is suspended as `tag`. */
  set(event: BlockEvent, tag: string): void {
    this.#touch("write");
    this.#waiting = [...this.#waiting, { event, tag }];
  }

  /** Forgets the break points with `tag` that nobody has reached. `false`: there is none. */
  remove(tag: string): boolean {
    this.#touch("write");
    const left = this.#waiting.filter((point) => point.tag !== tag);
    const isKnown = left.length < this.#waiting.length;
    this.#waiting = left;
    return isKnown;
  }

  /** Resolves when a coroutine is suspended as `tag`. */
  reached(tag: string): Promise<void> {
    if (this.suspended.includes(tag)) return Promise.resolve();
    return new Promise((seen) => this.#watchers.push({ tag, seen }));
  }

  /** Lets the first that is suspended as `tag` go on. `false`: there is none. */
  resume(tag: string): boolean {
    this.#touch("write");
    const index = this.#suspended.findIndex((suspended) => suspended.tag === tag);
    const [suspended] = index < 0 ? [] : this.#suspended.splice(index, 1);
    suspended?.go();
    return suspended !== undefined;
  }

  /** A coroutine is at `event`: a promise stops it there. */
  at(event: BlockEvent): Promise<void> | undefined {
    const point = this.#waiting.find((candidate) => candidate.event === event);
    this.#touch(point === undefined ? "read" : "write");
    if (point === undefined) return undefined;
    this.#waiting = this.#waiting.filter((other) => other !== point);
    return new Promise((go) => {
      this.#suspended.push({ ...point, go });
      const seen = this.#watchers.filter(({ tag }) => tag === point.tag);
      this.#watchers = this.#watchers.filter((watcher) => !seen.includes(watcher));
      for (const watcher of seen) watcher.seen();
    });
  }
}
