/** Runs one line with the real program and with ours, each in a folder of its own with the same files, and tells what became of both. */

import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One line of a table. */
export interface Case {
  /** Words after the name of the program; in single quotes they are one. */
  readonly line: string;
  /** Typed, or piped; absent: nothing. */
  readonly input?: string;
}

/** All that a line says and leaves behind. */
export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What the files hold afterwards that one of the two changed, by name. */
  readonly files: Readonly<Record<string, string>>;
}

/** A run that is over, and the names of the files that are not what they were. */
type Ended = Omit<Outcome, "files"> & { readonly changed: readonly string[] };

/** Where ours is: built from the sources that are here. */
const BIN = join(import.meta.dirname, "../../../packages/cli/bin");
/** A program that waits for what never comes is ended. */
const LONGEST_MS = 20_000;

export class BothPrograms implements Disposable {
  readonly #program: string;
  readonly #folder: string = mkdtempSync(join(tmpdir(), "coblock-differential-"));

  /** `makeFiles` fills a folder with the files that every line begins with. */
  constructor(program: string, makeFiles: (folder: string) => void) {
    this.#program = program;
    mkdirSync(join(this.#folder, "files"));
    makeFiles(join(this.#folder, "files"));
  }

  /** The real program first. */
  async run(one: Case): Promise<{ readonly theirs: Outcome; readonly ours: Outcome }> {
    const [theirs, ours] = await Promise.all([
      this.#runIn("theirs", this.#program, one),
      this.#runIn("ours", join(BIN, this.#program), one),
    ]);
    const names = new Set([...theirs.changed, ...ours.changed]);
    const describe = async (name: string, outcome: Ended): Promise<Outcome> => ({
      ...outcome,
      files: await contents(join(this.#folder, name), names),
    });
    return { theirs: await describe("theirs", theirs), ours: await describe("ours", ours) };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }

  async #runIn(name: string, program: string, { line, input = "" }: Case): Promise<Ended> {
    const folder = join(this.#folder, name);
    rmSync(folder, { recursive: true, force: true });
    cpSync(join(this.#folder, "files"), folder, { recursive: true });
    const child = spawn(program, wordsOf(line), { cwd: folder, timeout: LONGEST_MS, killSignal: "SIGKILL" });
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    return { exitCode, ...output, changed: changedFiles(folder, join(this.#folder, "files")) };
  }
}

/** Blanks part words, and single quotes hold one together; the quotes are left out. */
export function wordsOf(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ""));
}

function changedFiles(folder: string, before: string): string[] {
  const names = new Set([...readdirSync(folder), ...readdirSync(before)]);
  const bytesOf = (path: string): Buffer | undefined => (existsSync(path) ? readFileSync(path) : undefined);
  return [...names].filter((name) => {
    const [was, is] = [bytesOf(join(before, name)), bytesOf(join(folder, name))];
    return was === undefined || is === undefined || !is.equals(was);
  });
}

/** Raw files as they are; images by what the real qemu-img reads of them, and finds wrong with them. */
async function contents(folder: string, names: ReadonlySet<string>): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of [...names].filter((member) => existsSync(join(folder, member))).sort()) {
    const bytes = readFileSync(join(folder, name));
    const magic = bytes.subarray(0, 3).toString("latin1");
    found[name] = magic === "QFI" || magic === "QED" ? await diskOf(folder, name) : digest(bytes);
  }
  return found;
}

async function diskOf(folder: string, name: string): Promise<string> {
  const check = await capture(folder, ["check", "-U", "-q", name]);
  const raw = await capture(folder, ["map", "-U", "--output=json", name]);
  const converted = `${name}.compared`;
  await capture(folder, ["convert", "-U", "-O", "raw", name, converted]);
  const disk = digest(readFileSync(join(folder, converted)));
  rmSync(join(folder, converted));
  return `${disk} check ${check.exitCode} runs ${runsOf(raw.stdout)}`;
}

/** Where the bytes lie is each program's own choice: how much is data and how much is zeros in which layer is not. */
function runsOf(json: string): string {
  const runs = JSON.parse(json) as readonly {
    readonly start: number;
    readonly length: number;
    readonly depth: number;
    readonly zero: boolean;
    readonly data: boolean;
  }[];
  let text = "";
  let previous = "";
  for (const { start, depth, zero, data } of runs) {
    const kind = `${depth}${data ? "data" : zero ? "zero" : "nothing"}`;
    if (kind !== previous) text += ` ${start}:${kind}`;
    previous = kind;
  }
  return text;
}

async function capture(folder: string, words: readonly string[]): Promise<{ readonly exitCode: number | null; readonly stdout: string }> {
  const child = spawn("qemu-img", words, { cwd: folder, stdio: ["ignore", "pipe", "ignore"] });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { exitCode, stdout };
}

function digest(bytes: Buffer): string {
  return `${bytes.length} bytes ${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}`;
}
