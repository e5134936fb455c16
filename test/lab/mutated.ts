/** Runs a scenario in a process of its own, with one protection taken out of the sources. */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Mutation } from "./mutations.ts";

/** How that process ended. */
export interface MutatedRun {
  /** 1: a failure was found. 0: none was. */
  readonly status: number | null;
  /** All that it printed. */
  readonly output: string;
}

const HOOKS = new URL("./mutate.mjs", import.meta.url);
const MAIN = new URL("./main.ts", import.meta.url);

/** What is long enough to find every one of the mutations. */
const HOW_LONG: Readonly<Record<Mutation["by"], readonly string[]>> = {
  exhaustive: ["--exhaustive", "--max", "20000"],
  random: ["--seeds", "2000"],
  "power-cut": ["--power-cut", "--seeds", "10"],
};

export async function runMutated(mutation: Mutation): Promise<MutatedRun> {
  const loaders = ["--conditions=@coblock/source", "--import", HOOKS.href, "--import", "tsx"];
  const what = ["--scenario", mutation.scenario, "--mutation", mutation.name, ...HOW_LONG[mutation.by]];
  const child = spawn(process.execPath, [...loaders, fileURLToPath(MAIN), ...what], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: { ...process.env, COBLOCK_MUTATION: JSON.stringify(mutation) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => printed.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => printed.push(bytes));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { status, output: Buffer.concat(printed).toString() };
}
