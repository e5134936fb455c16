/** Work off the main thread (codecs, ciphers, key derivation), passed in so that a replay is a replay. */

export interface Offload {
  /** Runs `work`; `task` names it for traces. */
  run<T>(task: string, work: () => T | Promise<T>): Promise<T>;
}
