/** `--fork`: the same words in a process of its own, which goes on when this one has returned. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, writeSync } from "node:fs";
import type { Readable } from "node:stream";
import type { Session } from "../session.ts";

/** Names the file descriptor on which the server tells that it is ready. */
const READY_VARIABLE = "COBLOCK_READY_FD";
const READY_FD = 3;

/** Whether this is the process that goes on. */
export function isInBackground(session: Session): boolean {
  return session.variable(READY_VARIABLE) === String(READY_FD);
}

/** Tells the process that started this one that clients can come. */
export function tellReady(session: Session): void {
  if (!isInBackground(session)) return;
  writeSync(READY_FD, "1");
  closeSync(READY_FD);
}

/** Answers 0 when the server is ready, or the exit code with which it ended before. What it says until then is told. */
export async function serveInBackground(session: Session): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe", "pipe"],
    env: { ...process.env, [READY_VARIABLE]: String(READY_FD) },
  });
  const ended = once(child, "close").then(([code]) => (code as number | null) ?? 1);
  const messages = child.stderr as Readable;
  messages.setEncoding("utf8").on("data", (text: string) => session.relay(text));
  const stop = (): boolean => child.kill("SIGTERM");
  session.signal.addEventListener("abort", stop, { once: true });
  try {
    const ready = child.stdio[READY_FD] as Readable;
    const exitCode = await Promise.race([once(ready, "data").then(() => 0), ended]);
    child.unref();
    messages.destroy();
    ready.destroy();
    return exitCode;
  } finally {
    session.signal.removeEventListener("abort", stop);
  }
}
