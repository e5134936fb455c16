/** Bytes that nobody can foretell, for keys; passed in, so that a replay is a replay. */

import { randomFillSync } from "node:crypto";

/** Where random bytes come from. */
export interface Entropy {
  /** Fresh ones at each call. */
  bytes(length: number): Uint8Array;
}

/** The host's own source, fit for keys. */
export const systemEntropy: Entropy = { bytes: (length) => randomFillSync(new Uint8Array(length)) };
