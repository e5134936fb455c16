/** Requests held back where a driver reaches an event: for tests that need an order. */

import type { WaitOptions } from "./coroutine/held.ts";

/** The names of `BlockEvent` say where, tags of the caller's say which. */
export interface Breakpoints {
  /** The next request that reaches `event` is held back. False: there is no such event. */
  set(event: string, tag: string): boolean;
  /** What is held back by `tag` goes on, and nothing more is held back by it. False: nothing would have been. */
  remove(tag: string): boolean;
  /** One request of that tag goes on. False: there is none. */
  resume(tag: string): boolean;
  /** Returns when a request of that tag is held back. */
  suspended(tag: string, options?: WaitOptions): Promise<void>;
  /** `tell` is called with a line for each request that is held back or goes on. */
  listen(tell: (line: string) => void): void;
}
