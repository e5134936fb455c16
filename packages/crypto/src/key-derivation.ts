/** PBKDF2 on the host's threads, and how many of its rounds take a given time. RFC 8018. */

import { pbkdf2 } from "node:crypto";
import { BlockError, type Clock, type Offload } from "@coblock/core";
import type { HashName } from "./hash-name.ts";

/** What derivation works with. */
export interface DerivationContext {
  readonly offload: Offload;
}

/** One key from one password. */
export interface Derivation {
  readonly hash: HashName;
  readonly password: Uint8Array;
  readonly salt: Uint8Array;
  readonly iterations: number;
  /** Bytes of the key. */
  readonly length: number;
}

/** Cannot be stopped once it runs: rounds are bounded by whoever reads them from an image. */
export function deriveKey({ offload }: DerivationContext, { hash, password, salt, iterations, length }: Derivation): Promise<Uint8Array> {
  const derive = (): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      pbkdf2(password, salt, iterations, length, hash, (error, key) => (error === null ? resolve(key) : reject(error)));
    });
  return offload.run("pbkdf2", derive);
}

const FIRST_MEASURED = 2 ** 14;
/** Also the end for a clock that does not go on by itself. */
const LAST_MEASURED = 2 ** 20;
const ENOUGH_MS = 40;
const MAX_ITERATIONS = 2 ** 32 - 1;
/** Fewer rounds than this are no protection, however slow the machine is. */
const MIN_ITERATIONS = 1000;

/** Rounds that take `timeMs` on this machine, as measured now, and 1,000 at least. Throws INVALID_OPTION for more than a header has room for. */
export async function iterationsFor(
  context: DerivationContext & { readonly clock: Clock },
  hash: HashName,
  length: number,
  timeMs: number,
): Promise<number> {
  if (timeMs === 0) return MIN_ITERATIONS;
  const blank = new Uint8Array(32);
  for (let iterations = FIRST_MEASURED; ; iterations *= 2) {
    const start = context.clock.now();
    await deriveKey(context, { hash, password: blank, salt: blank, iterations, length });
    const tookMs = context.clock.now() - start;
    if (tookMs < ENOUGH_MS && iterations < LAST_MEASURED) continue;
    const rounds = Math.ceil((iterations / Math.max(tookMs, 1)) * timeMs);
    if (rounds <= MAX_ITERATIONS) return Math.max(rounds, MIN_ITERATIONS);
    throw new BlockError("INVALID_OPTION", `a key derivation of ${timeMs} ms would take ${rounds} rounds, more than ${MAX_ITERATIONS}`);
  }
}
