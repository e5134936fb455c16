/** Runs one line with the real qemu-img and with ours, one after the other in the same folder with the same files, and tells what became of both. */

import { spawn } from "node:child_process";
import { cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "@coblock/cli";
import { wordsOf, type Case, type Outcome } from "./both-programs.ts";
import { compareFiles } from "./image-files.ts";

type Ended = Omit<Outcome, "files">;

/** A program that waits for what never comes is ended. */
const LONGEST_MS = 20_000;

export class ImgPrograms implements Disposable {
  readonly #home: string = mkdtempSync(join(tmpdir(), "coblock-differential-"));
  /** Both run here: names that they print are the same. */
  readonly #folder: string = join(this.#home, "files");
  readonly #startedIn: string = process.cwd();
  #isFresh = false;

  /** `makeFiles` fills a folder with the files that every line begins with. */
  static async start(makeFiles: (folder: string) => Promise<void>): Promise<ImgPrograms> {
    const programs = new ImgPrograms();
    mkdirSync(programs.#folder);
    programs.#goElsewhere();
    await makeFiles(programs.#folder);
    programs.#keep("before");
    return programs;
  }

  /** The real program first. `@name` in a line is a file of the folder. */
  async run({ line }: Case): Promise<{ readonly theirs: Outcome; readonly ours: Outcome }> {
    const words = wordsOf(line).map((word) => word.replaceAll("@", `${this.#folder}/`));
    this.#refresh();
    const theirs = await runTheirs(words);
    this.#keep("theirs");
    this.#refresh();
    const ours = await runOurs(words);
    const names = new Set([...this.#changed(join(this.#home, "theirs")), ...this.#changed(this.#folder)]);
    this.#isFresh = names.size === 0;
    if (this.#isFresh) return { theirs: { ...theirs, files: {} }, ours: { ...ours, files: {} } };
    this.#keep("ours");
    const folder = (name: string): string => join(this.#home, name);
    const files = await compareFiles({ theirs: folder("theirs"), ours: folder("ours"), place: this.#folder }, names);
    return { theirs: { ...theirs, files: files.theirs }, ours: { ...ours, files: files.ours } };
  }

  [Symbol.dispose](): void {
    process.chdir(this.#startedIn);
    rmSync(this.#home, { recursive: true });
  }

  /** Files that lines name without a folder are in neither program's, and not where the tests were started. */
  #goElsewhere(): void {
    const elsewhere = join(this.#home, "elsewhere");
    mkdirSync(elsewhere);
    process.chdir(elsewhere);
  }

  #keep(name: string): void {
    rmSync(join(this.#home, name), { recursive: true, force: true });
    renameSync(this.#folder, join(this.#home, name));
    this.#isFresh = false;
  }

  #refresh(): void {
    if (this.#isFresh) return;
    rmSync(this.#folder, { recursive: true, force: true });
    cpSync(join(this.#home, "before"), this.#folder, { recursive: true, verbatimSymlinks: true });
    this.#isFresh = true;
  }

  #changed(folder: string): string[] {
    const before = join(this.#home, "before");
    const names = new Set([...readdirSync(folder), ...readdirSync(before)]);
    const bytesOf = (path: string): Buffer | undefined => (existsSync(path) && lstatSync(path).isFile() ? readFileSync(path) : undefined);
    return [...names].filter((name) => {
      const [was, is] = [bytesOf(join(before, name)), bytesOf(join(folder, name))];
      return was === undefined ? is !== undefined : is === undefined || !is.equals(was);
    });
  }
}

async function runTheirs(words: readonly string[]): Promise<Ended> {
  const child = spawn("qemu-img", words, { timeout: LONGEST_MS, killSignal: "SIGKILL", stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return { exitCode, ...output };
}

async function runOurs(words: readonly string[]): Promise<Ended> {
  const written = { stdout: "", stderr: "" };
  const host = {
    stdout: { write: (text: string) => (written.stdout += text) },
    stderr: { write: (text: string) => (written.stderr += text) },
  };
  const exitCode = await main(words, host, { kind: "qemu-img", name: "qemu-img" });
  return { exitCode, ...written };
}
