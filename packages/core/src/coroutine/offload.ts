/** Work off the main thread (codecs, ciphers, key derivation), passed in so that a replay is a replay. */

export interface Offload {
  /** Whoever works may keep threads, and turn the event loop to hear of them. Absent: not, for a replay could not follow that. */
  readonly mayKeepThreads?: true;
  /** Runs `work`; `task` names it for traces. */
  run<T>(task: string, work: () => T | Promise<T>): Promise<T>;
}
