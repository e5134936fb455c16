/** Time, passed in: nothing else in Coblock may ask for it. */

export interface Clock {
  /** Milliseconds from an arbitrary start, never going back. */
  now(): number;
  /** Calls `run` once after `durationMs`; disposing cancels it. */
  schedule(durationMs: number, run: () => void): Disposable;
  /** One turn of the event loop, so that signals, timers and sockets live. */
  yield(): Promise<void>;
}
