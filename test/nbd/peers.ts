/** Real NBD programs beside ours: started in a scratch folder, waited for, and ended by their IDs. */

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BlockGraph, fileDriver, memoryDriver, rawDriver } from "@coblock/core";
import { nbdDriver } from "@coblock/nbd";
import { qcow2Driver } from "@coblock/qcow2";

/** nbdsh takes the first python3, and its library belongs to the system's. */
const ENVIRONMENT = { ...process.env, PATH: `/usr/bin:${process.env["PATH"] ?? ""}` };

/** What a program printed, and how it ended. */
export interface Printed {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Peers implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "coblock-nbd-"));
  readonly graph: BlockGraph = new BlockGraph({
    drivers: [fileDriver, memoryDriver, rawDriver, qcow2Driver, nbdDriver],
    implicitOpen: "allow",
  });
  readonly #children: Set<ChildProcess> = new Set();

  path(name: string): string {
    return join(this.folder, name);
  }

  socketUri(name: string, exportName = ""): string {
    return `nbd+unix:///${exportName}?socket=${this.path(name)}`;
  }

  /** A chain of two qcow2 images with data, zeros and holes: `top.qcow2` over `base.qcow2`, and `top.raw` with the same bytes. */
  makeChain(): void {
    const image = (...words: readonly string[]): unknown => execFileSync("qemu-img", words, { cwd: this.folder, stdio: "pipe" });
    const write = (file: string, ...commands: readonly string[]): unknown =>
      execFileSync("qemu-io", ["-f", "qcow2", ...commands.flatMap((command) => ["-c", command]), file], {
        cwd: this.folder,
        stdio: "pipe",
      });
    image("create", "-f", "qcow2", "base.qcow2", "24M");
    write("base.qcow2", "write -P 1 0 1M", "write -P 2 5M 3M", "write -z 20M 1M");
    image("create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2");
    write("top.qcow2", "write -P 7 6M 100k", "write -z 1M 64k", "discard 7M 64k");
    image("convert", "-O", "raw", "top.qcow2", "top.raw");
  }

  /** Runs a program to its end without blocking this process, which may have to serve it. */
  async run(program: string, words: readonly string[], input = ""): Promise<Printed> {
    const child = this.#spawn(program, words);
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (text: Buffer) => (stdout += text.toString()));
    child.stderr?.on("data", (text: Buffer) => (stderr += text.toString()));
    child.stdin?.end(input);
    const status = await new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
    return { status, stdout, stderr };
  }

  /** `run`, which must succeed; answers standard output. */
  async succeed(program: string, words: readonly string[], input?: string): Promise<string> {
    const { status, stdout, stderr } = await this.run(program, words, input);
    if (status !== 0) throw new Error(`${program} ${words.join(" ")} ended with ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Starts a server in the foreground and waits until its socket takes connections. */
  serve(program: string, words: readonly string[], socket: string): Promise<ChildProcess> {
    return this.#startUntil(program, words, async () => existsSync(this.path(socket)) && (await accepts(this.path(socket))));
  }

  /** Starts a program in the foreground and waits until it has made a file. */
  appears(program: string, words: readonly string[], file: string): Promise<ChildProcess> {
    return this.#startUntil(program, words, () => Promise.resolve(existsSync(file)));
  }

  /** Starts a server that prints one line when it is ready. */
  async talk(program: string, words: readonly string[]): Promise<{ readonly line: string } & AsyncDisposable> {
    const child = this.#spawn(program, words);
    let stdout = "";
    while (!stdout.includes("\n")) {
      const [text] = (await Promise.race([once(child.stdout ?? child, "data"), once(child, "exit")])) as [Buffer | number | null];
      if (!(text instanceof Buffer)) throw new Error(`${program} ended with ${String(text)}`);
      stdout += text.toString();
    }
    return { line: stdout.trim(), [Symbol.asyncDispose]: () => this.end(child) };
  }

  async end(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
    this.#children.delete(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.graph[Symbol.asyncDispose]();
    for (const child of this.#children) await this.end(child, "SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #startUntil(program: string, words: readonly string[], isUp: () => Promise<boolean>): Promise<ChildProcess> {
    const child = this.#spawn(program, words);
    let stderr = "";
    child.stderr?.on("data", (text: Buffer) => (stderr += text.toString()));
    for (let attempt = 0; attempt < 400; attempt++) {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}: ${stderr}`);
      if (await isUp()) return child;
      await sleep(25);
    }
    throw new Error(`${program} did not come up: ${stderr}`);
  }

  #spawn(program: string, words: readonly string[]): ChildProcess {
    const child = spawn(program, [...words], { cwd: this.folder, stdio: ["pipe", "pipe", "pipe"], env: ENVIRONMENT });
    this.#children.add(child);
    // A program may end before it has read its input, which tells nothing: its status does.
    child.stdin.on("error", () => {});
    child.once("exit", () => this.#children.delete(child));
    return child;
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
