/** The system's clock with short waits, so that tests of time limits and pauses end soon. */

import { type Clock, SystemClock, type TimerOptions } from "@coblock/core";

export class HurriedClock extends SystemClock implements Clock {
  /** How many times faster than the real one it goes. */
  hurry = 100;
  /** What was asked for, milliseconds. */
  readonly pausesMs: number[] = [];

  override now(): number {
    return super.now() * this.hurry;
  }

  override schedule(durationMs: number, run: () => void, options?: TimerOptions): Disposable {
    this.pausesMs.push(durationMs);
    return super.schedule(durationMs / this.hurry, run, options);
  }
}
