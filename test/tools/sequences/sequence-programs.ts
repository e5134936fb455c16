/** Runs the same lines with the real programs and with ours, each on files of its own that lie in the same place, one line after the other. */

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "@coblock/cli";
import { compareFiles } from "../differential/image-files.ts";
import { withoutTimes } from "../differential/normalise.ts";

/** Words of one program; `@name` is a file of the folder. */
export interface Line {
  readonly program: "qemu-img" | "qemu-io";
  readonly words: readonly string[];
}

export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Side = "theirs" | "ours";

/** A program that waits for what never comes is ended. */
const LONGEST_MS = 20_000;

export class SequencePrograms implements Disposable {
  readonly #home: string = mkdtempSync(join(tmpdir(), "coblock-sequence-"));
  /** Both run here: names that they print, and write into images, are the same. */
  readonly #place: string = join(this.#home, "files");

  constructor() {
    for (const side of ["theirs", "ours"]) mkdirSync(join(this.#home, side));
  }

  async run(line: Line): Promise<Readonly<Record<Side, Outcome>>> {
    const { program } = line;
    const words = line.words.map((word) => word.replaceAll("@", `${this.#place}/`));
    const theirs = await this.#in("theirs", () => runTheirs(program, words));
    const ours = await this.#in("ours", () => runOurs(program, words));
    return { theirs, ours };
  }

  /** What the images of both are worth, as the real qemu-img tells it: what it says of them, finds wrong with them, and reads. */
  async images(): Promise<Readonly<Record<Side, Readonly<Record<string, string>>>>> {
    const folders = { theirs: join(this.#home, "theirs"), ours: join(this.#home, "ours"), place: this.#place };
    const names = new Set([...readdirSync(folders.theirs), ...readdirSync(folders.ours)].filter((name) => name.endsWith(".qcow2")));
    const { theirs, ours } = await compareFiles(folders, names);
    // qemu-img 7.2 leaves leaks where bitmaps and commits meet.
    const sound = (text: string): string => text.replace("failed with 3\n", "");
    return { theirs: mapped(theirs, (text) => sound(withoutRuns(text))), ours: mapped(ours, withoutRuns) };
  }

  [Symbol.dispose](): void {
    rmSync(this.#home, { recursive: true, force: true });
  }

  async #in(side: Side, work: () => Promise<Outcome>): Promise<Outcome> {
    renameSync(join(this.#home, side), this.#place);
    try {
      return await work();
    } finally {
      if (existsSync(this.#place)) renameSync(this.#place, join(this.#home, side));
    }
  }
}

async function runTheirs(program: Line["program"], words: readonly string[]): Promise<Outcome> {
  const child = spawn(program, words, { timeout: LONGEST_MS, killSignal: "SIGKILL", stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return told({ exitCode, ...output });
}

async function runOurs(program: Line["program"], words: readonly string[]): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const host = {
    stdout: { write: (text: string) => (written.stdout += text) },
    stderr: { write: (text: string) => (written.stderr += text) },
  };
  const exitCode = await main(words, host, { kind: program, name: program });
  return told({ exitCode, ...written });
}

/** What is zeros and what is a hole in the host's file is each program's own choice. */
function withoutRuns(text: string): string {
  return text.replace(/^runs:.*\n/m, "");
}

function mapped(texts: Readonly<Record<string, string>>, change: (text: string) => string): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, change(text)]));
}

/** Without what is each program's own choice: how long it took, and where clusters lie. */
function told({ exitCode, stdout, stderr }: Outcome): Outcome {
  const kept = withoutTimes(stdout)
    .replace(/^Image end offset: \d+\n/m, "")
    .replace(/^disk size: .*\n/m, "")
    .replace(/^\d+\/\d+ = .* allocated, .* compressed clusters\n/m, "");
  return { exitCode, stdout: kept, stderr: stderr.replace(/#block\d+/g, "#block") };
}
