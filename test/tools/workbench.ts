/** Runs the same words with the real tool and with ours, in a scratch folder. */

import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "@coblock/cli";

export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const MOST_TRIES = 50;

/** Where Linux has files in memory, and what must be free there, bytes. */
const MEMORY = "/dev/shm";
const TMPFS = 0x0102_1994;
const LEAST_ROOM = 1024 * 1024 * 1024;

export class Workbench implements Disposable {
  readonly folder: string;

  /**
   * `memory`: for tests that ask for hundreds of flushes and look at formats alone; on a disk they wait for it most of the time. Where
   * there is no such place with room the folder is on the disk all the same.
   */
  constructor(place: "disk" | "memory" = "disk") {
    this.folder = mkdtempSync(join(place === "memory" && hasMemory() ? MEMORY : tmpdir(), "coblock-tools-"));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Makes an image with the real tool; throws if that fails. */
  qemuImg(...words: readonly string[]): void {
    const { exitCode, stderr } = this.theirs(words);
    if (exitCode !== 0) throw new Error(`qemu-img ${words.join(" ")}: ${stderr}`);
  }

  /** Writes into an image with the real tool; `commands` are its own (`write -P 1 0 64k`). */
  qemuIo(image: string, format: string, ...commands: readonly string[]): void {
    const { status, stdout, stderr } = spawnSync("qemu-io", ["-f", format, this.path(image)], {
      input: `${commands.join("\n")}\nquit\n`,
      encoding: "utf8",
    });
    if (status !== 0 || /error|failed/i.test(stdout + stderr)) throw new Error(`qemu-io ${image}: ${stdout}${stderr}`);
  }

  /** What changed by a bitmap of a qcow2 image, as QEMU serves it to whoever makes backups: from a copy, for the server ends when it likes to. */
  dirty(image: string, bitmap: string): readonly { readonly offset: number; readonly length: number }[] {
    const folder = mkdtempSync(join(this.folder, "served-"));
    const [served, socket] = [join(folder, "image"), join(folder, "socket")];
    copyFileSync(this.path(image), served);
    const disk = JSON.stringify({
      driver: "qcow2",
      backing: null,
      file: { driver: "file", filename: served },
    });
    execFileSync("qemu-nbd", ["--fork", "-r", "-B", bitmap, `--socket=${socket}`, `json:${disk}`], { stdio: ["ignore", "ignore", "pipe"] });
    const options = `driver=nbd,server.type=unix,server.path=${socket},x-dirty-bitmap=qemu:dirty-bitmap:${bitmap}`;
    const map = execFileSync("qemu-img", ["map", "--output=json", "--image-opts", options], { encoding: "utf8" });
    rmSync(served);
    const runs = JSON.parse(map) as { readonly start: number; readonly length: number; readonly data: boolean }[];
    return runs.flatMap(({ start, length, data }) => (data ? [] : [{ offset: start, length }]));
  }

  /** The real tool gives up now and then when it cannot measure how fast it derives keys: then it is run again. */
  theirs(words: readonly string[]): Outcome {
    for (let tries = 1; ; tries++) {
      const { status, stdout, stderr } = spawnSync("qemu-img", this.#placed(words), { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
      if (!stderr.includes("Unable to get accurate CPU usage") || tries === MOST_TRIES) return { exitCode: status, stdout, stderr };
    }
  }

  async ours(words: readonly string[]): Promise<Outcome> {
    const written = { stdout: "", stderr: "" };
    const exitCode = await main(this.#placed(words), {
      stdout: { write: (text) => (written.stdout += text) },
      stderr: { write: (text) => (written.stderr += text) },
    });
    return { exitCode, ...written };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** `@name` stands for a file of the folder. */
  #placed(words: readonly string[]): string[] {
    return words.map((word) => word.replaceAll("@", `${this.folder}/`));
  }
}

function hasMemory(): boolean {
  if (!existsSync(MEMORY)) return false;
  const { type, bavail, bsize } = statfsSync(MEMORY);
  return type === TMPFS && bavail * bsize >= LEAST_ROOM;
}

/** The words of a case, as one writes them in a shell; no quoting. */
export function wordsOf(line: string): readonly string[] {
  return line.split(" ");
}
