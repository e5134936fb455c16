/** Freed space that may not be used again yet: its mapping is not on disk, or I/O that began before may still meet it. */

import { touch } from "../coroutine/witness.ts";
import type { HostSpan } from "../driver.ts";

/** Space that nothing refers to any more. */
export interface SettledSpan {
  readonly span: HostSpan;
  /** The host shall have it back. */
  readonly discard: boolean;
}

interface Retired extends SettledSpan {
  readonly flush: number;
  readonly epoch: number;
}

interface Epoch {
  readonly number: number;
  inFlight: number;
  /** Something was retired in it: I/O that begins from now on belongs to the next one. */
  sealed: boolean;
}

/**
 * A span is settled when a flush that began after it was retired has succeeded, and all I/O that began before has ended.
 * I/O that completes in the turn in which it began takes no part.
 */
export class RetiredSpace {
  #retired: Retired[] = [];
  #bytes = 0;
  #flush = 0;
  #flushed = -1;
  /** Oldest first; the last one is current. */
  readonly #epochs: Epoch[] = [{ number: 0, inFlight: 0, sealed: false }];

  /** Bytes retired and not settled. */
  get bytes(): number {
    touch(this, "add");
    return this.#bytes;
  }

  retire(span: HostSpan, discard: boolean): void {
    touch(this, "write");
    const current = this.#current();
    this.#retired.push({ span, discard, flush: this.#flush, epoch: current.number });
    this.#bytes += span.length;
    current.sealed = true;
  }

  /** I/O that outlives its turn has begun; the result is disposed when it has ended. */
  beginIo(): Disposable {
    touch(this, "add");
    const last = this.#current();
    const epoch = last.sealed ? { number: last.number + 1, inFlight: 0, sealed: false } : last;
    if (epoch !== last) this.#epochs.push(epoch);
    epoch.inFlight++;
    this.#forgetEnded();
    return {
      [Symbol.dispose]: () => {
        touch(this, "add");
        epoch.inFlight--;
        this.#forgetEnded();
      },
    };
  }

  /** To be called before metadata goes out: what was retired so far is covered. Answers what to hand to `flushed`. */
  startFlush(): number {
    touch(this, "write");
    return this.#flush++;
  }

  flushed(flush: number): void {
    touch(this, "write");
    this.#flushed = Math.max(this.#flushed, flush);
  }

  /** Spans that nothing refers to any more; each is answered once. */
  takeSettled(): SettledSpan[] {
    touch(this, "write");
    const oldest = this.#epochs[0];
    const settled: SettledSpan[] = [];
    const left: Retired[] = [];
    for (const entry of this.#retired) {
      const ended = oldest === undefined || oldest.inFlight === 0 || entry.epoch < oldest.number;
      if (entry.flush <= this.#flushed && ended) {
        settled.push({ span: entry.span, discard: entry.discard });
        this.#bytes -= entry.span.length;
      } else left.push(entry);
    }
    this.#retired = left;
    return settled;
  }

  #forgetEnded(): void {
    while (this.#epochs.length > 1 && this.#epochs[0]?.inFlight === 0) this.#epochs.shift();
  }

  #current(): Epoch {
    const last = this.#epochs[this.#epochs.length - 1];
    if (last === undefined) throw new Error("assertion failed: there is always a current epoch");
    return last;
  }
}
