/** This process as the host of a command. */

import { type BigIntStats, fstatSync, writeSync } from "node:fs";
import type { Host, TextStream } from "./host.ts";

const STANDARD_OUTPUT = 1;
/** Linux: the number of the driver behind /dev/null and its like. */
const MEMORY_DEVICES = 1n;

/** Streams are made when they are first asked for. */
export function processHost(): Host {
  let stdout: TextStream | undefined;
  return {
    get stdout() {
      return (stdout ??= standardOutput());
    },
    get stderr() {
      return process.stderr;
    },
    get stdin() {
      return process.stdin;
    },
    env: process.env,
    pid: process.pid,
    kill: (pid, signal) => process.kill(pid, signal),
    on: (signal, listener) => process.on(signal, listener),
    off: (signal, listener) => process.off(signal, listener),
    page: async (text) => (await import("./terminal/pager.ts")).showInPager(text, process.env),
  };
}

/** Node's stream is made of twenty modules, and writes no other way than `PlainOutput` into files and pipes: those do without it. */
function standardOutput(): TextStream {
  // In bigints, as wherever a pipe or a socket may be met: where Node's loader of modules should look at a folder it looks at the numbers of
  // the last `stat`, and after those of a pipe it follows no link, so that packages behind links are not found, or are loaded twice.
  return process.platform === "linux" && isPlain(fstatSync(STANDARD_OUTPUT, { bigint: true })) ? new PlainOutput() : process.stdout;
}

function isPlain(stats: BigIntStats): boolean {
  return stats.isFile() || stats.isFIFO() || (stats.isCharacterDevice() && stats.rdev / 256n === MEMORY_DEVICES);
}

/** Writes at once; `write` throws what goes wrong. */
class PlainOutput implements TextStream {
  readonly #listeners: ((error: Error) => void)[] = [];
  /** Takes over where a write would have to wait, as somebody has made the pipe so that it does not. */
  #stream: NodeJS.WriteStream | undefined;

  write(text: string, done?: (error?: Error | null) => void): unknown {
    const left = this.#stream === undefined ? writeNow(Buffer.from(text)) : text;
    if (left.length === 0 && this.#stream === undefined) return done?.();
    this.#stream ??= this.#takenOver();
    return this.#stream.write(left, done);
  }

  on(_event: "error", listener: (error: Error) => void): void {
    this.#listeners.push(listener);
    this.#stream?.on("error", listener);
  }

  #takenOver(): NodeJS.WriteStream {
    const { stdout } = process;
    for (const listener of this.#listeners) stdout.on("error", listener);
    return stdout;
  }
}

/** Answers what a pipe had no room for. */
function writeNow(bytes: Buffer): Buffer {
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(STANDARD_OUTPUT, bytes, written);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
  }
  return bytes.subarray(written);
}
