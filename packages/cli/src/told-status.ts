/** Walks over an image whose block status cannot be had: what qemu-img says of them. */

import { BlockError, type BlockStatus } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
import { systemWords } from "./io/failure.ts";

/** The runs; `problem` stands before the system's words, and is told where the last of them has ended, if there was one. */
export async function* tellingStatus(
  runs: AsyncIterable<BlockStatus>,
  problem: string | ((end: number | undefined) => string),
): AsyncGenerator<BlockStatus, void, undefined> {
  let end: number | undefined;
  try {
    for await (const run of runs) {
      end = run.offset + run.length;
      yield run;
    }
  } catch (cause) {
    if (!(cause instanceof BlockError)) throw cause;
    const words = [`${typeof problem === "string" ? problem : problem(end)}: ${systemWords(cause)}`];
    throw new CommandFailure(cause.message, 1, { cause, words });
  }
}
