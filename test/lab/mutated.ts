/** Runs the command of the lab with one protection taken out of the sources: they are bundled without it, and run in a process of their own. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Plugin, rolldown } from "rolldown";
import type { Mutation, SourceEdit } from "./mutations.ts";

/** How that process ended. */
export interface MutatedRun {
  /** 1: a failure was found. 0: none was. */
  readonly status: number | null;
  /** All that it printed. */
  readonly output: string;
}

const PACKAGES = join(import.meta.dirname, "../../packages");
const COMMAND = join(import.meta.dirname, "command.ts");

/** What is long enough to find every one of the mutations. */
const HOW_LONG: Readonly<Record<Mutation["by"], readonly string[]>> = {
  exhaustive: ["--exhaustive", "--max", "20000"],
  random: ["--seeds", "2000"],
  "power-cut": ["--power-cut", "--seeds", "10"],
};

/** Looks for what the protection prevents; throws where an edit does not fit the sources. */
export async function runMutated(mutation: Mutation): Promise<MutatedRun> {
  const printed: Buffer[] = [];
  const words = ["--scenario", mutation.scenario, "--mutation", mutation.name, ...HOW_LONG[mutation.by]];
  const status = await withMutated(mutation, async (file) => {
    const child = spawn(process.execPath, [file, ...words], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", (bytes: Buffer) => printed.push(bytes));
    child.stderr.on("data", (bytes: Buffer) => printed.push(bytes));
    return endOf(child);
  });
  return { status, output: Buffer.concat(printed).toString() };
}

/** The words as they are, told to whoever started this process; the exit code. */
export function exploreMutated(mutation: Mutation, words: readonly string[]): Promise<number | null> {
  return withMutated(mutation, (file) => endOf(spawn(process.execPath, [file, ...words], { stdio: "inherit" })));
}

async function endOf(child: ChildProcess): Promise<number | null> {
  const [status] = (await once(child, "close")) as [number | null];
  return status;
}

/** Bundles the command for as long as `use` takes. */
async function withMutated<Result>(mutation: Mutation, use: (file: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "coblock-mutated-"));
  try {
    const file = join(folder, "command.mjs");
    const bundle = await rolldown({
      input: COMMAND,
      platform: "node",
      resolve: { conditionNames: ["@coblock/source", "node", "import", "default"] },
      transform: { target: "node20" },
      // For files of the host, which no scenario has.
      external: ["koffi"],
      plugins: [editing(mutation.edits)],
    });
    await bundle.write({ file, format: "esm", codeSplitting: false });
    await bundle.close();
    return await use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Each edit must fit exactly one place of its file, and each file must be part of the bundle. */
function editing(edits: readonly SourceEdit[]): Plugin {
  const missing = new Set(edits);
  return {
    name: "mutation",
    transform: {
      filter: { id: edits.map(({ file }) => join(PACKAGES, file)) },
      handler(code, id) {
        let source = code;
        for (const edit of edits.filter(({ file }) => id === join(PACKAGES, file))) {
          const parts = source.split(edit.find);
          if (parts.length !== 2)
            throw new Error(`the mutation of ${edit.file} fits ${parts.length - 1} times, and must fit once: ${edit.find}`);
          source = parts.join(edit.replace);
          missing.delete(edit);
        }
        return source;
      },
    },
    buildEnd(error) {
      const [first] = missing;
      if (error === undefined && first !== undefined) throw new Error(`${first.file} is no part of the lab, and cannot be mutated`);
    },
  };
}
