/** Keeps the number of host calls in the thread pool small. */

/** As many as Node's pool has threads by default; more would only stand in line there, and koffi refuses to take more than 256. */
const CALLS_AT_A_TIME = 4;

/** First come first served. */
export class CallQueue {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** `limit` calls at a time. */
  constructor(limit: number = CALLS_AT_A_TIME) {
    this.#limit = limit;
  }

  /** A call that came now would wait. */
  get full(): boolean {
    return this.#running === this.#limit;
  }

  async run(call: () => Promise<number>): Promise<number> {
    if (this.#running === this.#limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await call();
    } finally {
      // The place is handed over, not given back, so that nobody slips in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
