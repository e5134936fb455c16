/** Requests in flight, so that a serialising one (read-modify-write) never overlaps another. */

import { touch } from "../coroutine/witness.ts";

/** What a request asks for. */
export type RequestKind = "read" | "write" | "write zeroes" | "discard" | "flush";

/** A request that goes on after the turn in which it began. */
export interface TrackedRequest {
  readonly kind: RequestKind;
  /** Bytes, widened to the node's alignment where the request is serialising. */
  readonly offset: number;
  readonly length: number;
  readonly serialising: boolean;
  readonly startedMs: number;
}

interface Entry {
  readonly request: TrackedRequest;
  readonly done: Promise<void>;
  finish(): void;
}

/** Waiting is always for requests that came earlier, so it cannot end in a circle. */
export class RequestTracker {
  readonly #entries = new Set<Entry>();
  #serialising = 0;

  /** Whether any request in flight must not be overlapped. Who decides by it calls `touch` in the same turn. */
  get serialising(): boolean {
    return this.#serialising > 0;
  }

  /** Tells the witness that a request looks for serialising ones, comes or goes. Where there is none, none of them sees another. */
  touch(): void {
    touch(this, this.serialising ? "write" : "add");
  }

  list(): TrackedRequest[] {
    return [...this.#entries].map((entry) => entry.request);
  }

  /** Runs `work` as `request`: after the earlier ones that it may not overlap, and before the later ones that may not overlap it. */
  async run(request: TrackedRequest, work: () => void | Promise<void>): Promise<void> {
    const earlier = this.#conflicts(request);
    const entry = this.#add(request);
    try {
      for (const other of earlier) await other.done;
      await work();
    } finally {
      this.#remove(entry);
    }
  }

  #conflicts(request: TrackedRequest): Entry[] {
    const found: Entry[] = [];
    for (const entry of this.#entries) {
      const other = entry.request;
      if (!request.serialising && !other.serialising) continue;
      if (request.offset < other.offset + other.length && other.offset < request.offset + request.length) found.push(entry);
    }
    return found;
  }

  #add(request: TrackedRequest): Entry {
    let finish = (): void => {};
    const done = new Promise<void>((resolve) => (finish = resolve));
    const entry = { request, done, finish };
    if (request.serialising) this.#serialising++;
    this.touch();
    this.#entries.add(entry);
    return entry;
  }

  #remove(entry: Entry): void {
    this.touch();
    this.#entries.delete(entry);
    if (entry.request.serialising) this.#serialising--;
    entry.finish();
  }
}
