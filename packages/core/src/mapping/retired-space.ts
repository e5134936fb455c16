/** Freed space that may not be used again yet: its mapping is not on disk, or I/O that began before may still meet it. */

import { CoQueue } from "../coroutine/queue.ts";
import { touch } from "../coroutine/witness.ts";
import type { HostSpan, MaybePromise } from "../driver.ts";

/** Space that nothing refers to any more. */
export interface SettledSpan {
  readonly span: HostSpan;
  /** The host shall have it back. */
  readonly discard: boolean;
  /** It was emptied, and has an owner still: it never becomes free. */
  readonly kept: boolean;
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
 * Space that is kept waits in the same way for the host's discard, for no other reason, and its owner may want it back at any time.
 * I/O that completes in the turn in which it began takes no part.
 */
export class RetiredSpace {
  #retired: Retired[] = [];
  /** Of those, the ones that are kept. */
  #keptCount = 0;
  /** Kept spans that the host is being given. */
  #emptying: readonly HostSpan[] = [];
  readonly #emptied: CoQueue = new CoQueue("the host's discard of kept space");
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
    this.#forgetKept(span);
    this.#add({ span, discard, kept: false });
  }

  /** What is in the span is needed no more, the span is: the host gets its bytes back when it is settled, unless `refill` comes before. */
  empty(span: HostSpan): void {
    this.#add({ span, discard: true, kept: true });
    this.#keptCount++;
  }

  /** Something is about to be written to the span. Where the host is being given it just now, that has ended when it resolves. */
  refill(span: HostSpan): MaybePromise<void> {
    touch(this, "read");
    this.#forgetKept(span);
    return this.#emptying.some((other) => meet(other, span)) ? this.#untilEmptied(span) : undefined;
  }

  /** The host is being given these kept spans until the result is disposed: I/O that what is retired meanwhile waits for. */
  emptying(spans: readonly HostSpan[]): Disposable {
    if (spans.length === 0) return { [Symbol.dispose]: () => {} };
    touch(this, "write");
    this.#emptying = [...this.#emptying, ...spans];
    const io = this.beginIo();
    return {
      [Symbol.dispose]: () => {
        touch(this, "write");
        this.#emptying = this.#emptying.filter((span) => !spans.includes(span));
        io[Symbol.dispose]();
        this.#emptied.wakeAll();
      },
    };
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
        settled.push({ span: entry.span, discard: entry.discard, kept: entry.kept });
        this.#bytes -= entry.span.length;
        if (entry.kept) this.#keptCount--;
      } else left.push(entry);
    }
    this.#retired = left;
    return settled;
  }

  #add(settled: SettledSpan): void {
    touch(this, "write");
    const current = this.#current();
    this.#retired.push({ ...settled, flush: this.#flush, epoch: current.number });
    this.#bytes += settled.span.length;
    current.sealed = true;
  }

  /** Whatever is kept of the span is not given to the host. */
  #forgetKept(span: HostSpan): void {
    if (this.#keptCount === 0) return;
    touch(this, "write");
    this.#retired = this.#retired.flatMap((entry) => {
      if (!entry.kept || !meet(entry.span, span)) return [entry];
      const left = outside(entry.span, span).map((part): Retired => ({ ...entry, span: part }));
      this.#keptCount += left.length - 1;
      this.#bytes -= entry.span.length - left.reduce((sum, part) => sum + part.span.length, 0);
      return left;
    });
  }

  async #untilEmptied(span: HostSpan): Promise<void> {
    while (this.#emptying.some((other) => meet(other, span))) await this.#emptied.waitUnlocked();
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

function meet(one: HostSpan, other: HostSpan): boolean {
  return (
    one.child === other.child && one.childOffset < other.childOffset + other.length && other.childOffset < one.childOffset + one.length
  );
}

/** What of `span` lies before and behind `gone`. */
function outside({ child, childOffset, length }: HostSpan, gone: HostSpan): HostSpan[] {
  const end = childOffset + length;
  const goneEnd = gone.childOffset + gone.length;
  return [
    { child, childOffset, length: gone.childOffset - childOffset },
    { child, childOffset: goneEnd, length: end - goneEnd },
  ].filter((part) => part.length > 0);
}
