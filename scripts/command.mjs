/** Runs the tools that set-up and checks are made of, quietly: what they print is shown when they fail. */

import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

/** The checkout's top folder. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** A step that did not work; the message is all that the reader needs. */
export class StepError extends Error {}

/**
 * Says on stderr what is being done and how long it took; throws a `StepError` with the command's output if it fails.
 * @param {string | undefined} title  Printed; undefined for steps that are usually done already.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string }} [options]
 */
export function runQuietly(title, command, args, options = {}) {
  const startMs = performance.now();
  if (title !== undefined) process.stderr.write(`coblock: ${title} …`);
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    cwd: options.cwd ?? ROOT,
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
  });
  if (title !== undefined) process.stderr.write(` ${((performance.now() - startMs) / 1000).toFixed(1)} s\n`);
  if (status === 0) return;
  const end = error?.message ?? (signal === null ? `exit code ${status}` : `signal ${signal}`);
  throw new StepError(`${[command, ...args].join(" ")}: ${end}\n${stdout ?? ""}${stderr ?? ""}`);
}

/**
 * Runs `main`; a `StepError` ends the process with its message and exit code 1.
 * @param {() => void | Promise<void>} main
 * @param {string} [closingLine]  Printed to stdout after such an end.
 */
export async function runScript(main, closingLine) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    process.stderr.write(`coblock: ${error.message.trimEnd()}\n`);
    if (closingLine !== undefined) process.stdout.write(`\n${closingLine}\n`);
    process.exitCode = 1;
  }
}

/**
 * Runs a TypeScript program of the checkout from the sources, with the arguments of this process; its exit code becomes ours.
 * @param {string} main  Below the checkout's top folder.
 */
export async function runFromSources(main) {
  const args = ["--conditions=@coblock/source", "--import", "tsx", join(ROOT, main), ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { stdio: "inherit", cwd: ROOT });
  const code = await new Promise((resolve) => child.once("exit", resolve));
  process.exitCode = typeof code === "number" ? code : 1;
}
