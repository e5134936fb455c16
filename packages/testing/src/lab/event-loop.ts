/** The machine's own event loop and time, for the lab itself: taken before any run forbids them to the code under test. */

const { setImmediate, setTimeout, performance } = globalThis;

/** The event loop turns only when no promise job is left: then all coroutines have gone as far as they can. */
export function comeToRest(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Real time passes, for what the lab cannot simulate: modules that load, codecs that work in Node's threads. */
export function passRealTime(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** Real milliseconds, for reports of speed. */
export function realNow(): number {
  return performance.now();
}
