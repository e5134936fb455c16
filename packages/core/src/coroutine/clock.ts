/** Time, passed in: nothing else in Coblock may ask for it. */

export interface Clock {
  /** Milliseconds from an arbitrary start, never going back. */
  now(): number;
  /** Milliseconds since 1970 as the host tells it, for dates that are stored; may go back. */
  wallTime(): number;
  /** Calls `run` once after `durationMs` (`Infinity`: never); disposing cancels it. */
  schedule(durationMs: number, run: () => void, options?: TimerOptions): Disposable;
  /** One turn of the event loop, so that signals, timers and sockets live. */
  yield(): Promise<void>;
}

/** What a timer may ask for. */
export interface TimerOptions {
  /** For upkeep that nobody awaits, such as a cache cleaner: the timer alone does not keep the process alive. */
  readonly background?: boolean | undefined;
}
