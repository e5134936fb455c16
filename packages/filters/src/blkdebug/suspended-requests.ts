/** Requests that are held back at an event until they are let go by their tag. */

import type { BlockEvent, Breakpoints, MaybePromise, WaitOptions } from "@coblock/core";
import { isEvent } from "./event-names.ts";

interface Point {
  readonly event: BlockEvent;
  readonly tag: string;
}

/** One who waits at a point. */
interface Held {
  readonly tag: string;
  readonly letGo: () => void;
}

export class SuspendedRequests implements Breakpoints {
  /** The last set comes first. */
  #points: readonly Point[] = [];
  #held: readonly Held[] = [];
  readonly #arrivals: Set<() => void> = new Set();
  #tell: (line: string) => void = () => {};

  listen(tell: (line: string) => void): void {
    this.#tell = tell;
  }

  set(event: string, tag: string): boolean {
    if (!isEvent(event)) return false;
    this.#points = [{ event, tag }, ...this.#points];
    return true;
  }

  remove(tag: string): boolean {
    const points = this.#points.filter((point) => point.tag !== tag);
    const removed = points.length < this.#points.length;
    this.#points = points;
    while (this.resume(tag)) continue;
    return removed;
  }

  resume(tag: string): boolean {
    const held = this.#held.find((member) => member.tag === tag);
    if (held === undefined) return false;
    this.#held = this.#held.filter((member) => member !== held);
    this.#tell(`blkdebug: Resuming request '${tag}'`);
    held.letGo();
    return true;
  }

  async suspended(tag: string, options?: WaitOptions): Promise<void> {
    while (!this.#held.some((held) => held.tag === tag)) {
      options?.signal?.throwIfAborted();
      await this.#arrival(options?.signal);
    }
  }

  /** The coroutine that reaches `event` waits at all of its points; each is gone once somebody waits there. */
  pass(event: BlockEvent): MaybePromise<void> {
    const points = this.#points.filter((point) => point.event === event);
    if (points.length === 0) return undefined;
    this.#points = this.#points.filter((point) => point.event !== event);
    return this.#holdAt(points);
  }

  async #holdAt(points: readonly Point[]): Promise<void> {
    const waits = points.map(({ tag }) => this.#hold(tag));
    for (const arrived of this.#arrivals) arrived();
    for (const wait of waits) await wait;
  }

  #hold(tag: string): Promise<void> {
    this.#tell(`blkdebug: Suspended request '${tag}'`);
    return new Promise((resolve) => {
      this.#held = [...this.#held, { tag, letGo: resolve }];
    });
  }

  #arrival(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#arrivals.delete(done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      this.#arrivals.add(done);
      signal?.addEventListener("abort", done);
    });
  }
}
