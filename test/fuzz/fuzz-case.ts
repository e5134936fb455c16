/** A fuzzed image as it is kept: a sound one, and what was done to it. */

import type { SparseBytes } from "./sparse-bytes.ts";

/** One change: bytes put at an offset, or another length of the file. */
export type Mutation =
  | { readonly about: string; readonly at: number; readonly hex: string }
  | { readonly about: string; readonly size: number };

/** What a corpus file holds. */
export interface FuzzCase {
  /** Why it is kept. */
  readonly about?: string;
  /** Name of the sound image. */
  readonly base: string;
  readonly mutations: readonly Mutation[];
  /** Decides what is written to it. */
  readonly seed: number;
}

/** A format that can be fuzzed. */
export interface FuzzFormat {
  readonly name: string;
  /** How many `npm run fuzz` makes, unless it is told how many. */
  readonly cases: number;
  /** The case of a seed. */
  makeCase(seed: number): FuzzCase;
  /** Answers whether the image could be opened; throws where it was not handled as it should be. */
  run(fuzzCase: FuzzCase): Promise<"opened" | "refused">;
  /** The same image in the format's own tool. Answers how the two differ in a way that is known, or `undefined`; throws for others. */
  compare(fuzzCase: FuzzCase): Promise<string | undefined>;
}

/** Changes `bytes`. */
export function mutate(bytes: SparseBytes, mutations: readonly Mutation[]): void {
  for (const mutation of mutations) {
    if ("size" in mutation) bytes.resize(mutation.size);
    else bytes.write(mutation.at, Buffer.from(mutation.hex, "hex"));
  }
}
