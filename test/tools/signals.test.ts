/** The command as a process: signals, and a reader that goes away. */

import { execFileSync, spawn, spawnSync, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync, readSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Workbench } from "./workbench.ts";

const bench = new Workbench();
/** Built from the sources that are here. */
const BIN = join(import.meta.dirname, "../../packages/cli/bin");

beforeAll(() => {
  const commands = Array.from({ length: 3000 }, (_, index) => `write -q -z ${index * 128}k 64k`);
  bench.qemuImg("create", "-q", "-f", "qcow2", "@many.qcow2", "1G");
  bench.qemuIo("many.qcow2", "qcow2", ...commands);
});
afterAll(() => bench[Symbol.dispose]());

interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly written: { stdout: string; stderr: string };
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

type Program = "coblock" | "qemu-img";

function start(words: readonly string[], program: Program = "coblock"): Running {
  const child = spawn(join(BIN, program), words);
  const written = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (written.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (written.stderr += text));
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  return { child, written, ended };
}

/** Work without end: 8 PiB of data from nowhere to nowhere. */
function startEndless(program: Program = "coblock"): Running {
  const source = "driver=null,size=8000T,read-zeroes=off";
  return start(["convert", "-p", "-n", "--image-opts", "--target-image-opts", "-S", "0", source, "driver=null,size=8000T"], program);
}

/** The first percentage is printed when the signals are listened to and the work is about to begin. */
async function working({ child }: Running): Promise<void> {
  await once(child.stdout, "data");
}

/** What is in the pipe, at most 4 KiB. */
function readNow(pipe: number): Buffer {
  const bytes = Buffer.alloc(4096);
  try {
    return bytes.subarray(0, readSync(pipe, bytes));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    return bytes.subarray(0, 0);
  }
}

describe("signals", () => {
  it.each([
    ["coblock", "SIGINT", 130],
    ["coblock", "SIGTERM", 143],
    ["qemu-img", "SIGINT", 130],
    ["qemu-img", "SIGTERM", 143],
  ] as const)("as %s, %s ends the work with one line", async (program, signal, exitCode) => {
    const running = startEndless(program);
    await working(running);
    running.child.kill(signal);
    expect(await running.ended).toBe(exitCode);
    const told = program === "coblock" ? `interrupted by ${signal}; '[^\n]*' is incomplete` : `interrupted by ${signal}`;
    expect(running.written.stderr).toMatch(new RegExp(`^${program}: ${told}\n$`));
  });

  it("what was being written is a sound image afterwards", async () => {
    const source = "driver=null,size=1T,read-zeroes=off";
    const words = ["convert", "-p", "--image-opts", "-S", "0", "-O", "qcow2", source, bench.path("interrupted.qcow2")];
    const running = start(words, "qemu-img");
    await working(running);
    running.child.kill("SIGUSR1");
    await once(running.child.stderr, "data");
    running.child.kill("SIGINT");
    expect(await running.ended).toBe(130);
    expect(running.written.stderr).toMatch(/^ {4}\(\d+\.\d\d\/100%\)\nqemu-img: interrupted by SIGINT\n$/);
    expect(bench.theirs(["check", "@interrupted.qcow2"])).toMatchObject({ exitCode: 0 });
  });

  it("do not wait for a preallocation", async () => {
    const image = bench.path("full.raw");
    const running = start(["create", "-f", "raw", "-o", "preallocation=full", image, "4G"]);
    await working(running);
    running.child.kill("SIGINT");
    expect(await running.ended).toBe(130);
    expect(running.written.stderr).toBe(`coblock: interrupted by SIGINT; '${image}' is incomplete\n`);
    expect(statSync(image).size).toBe(0);
  });

  it("SIGUSR1 prints how far it is, SIGUSR2 what the graph does, and the work goes on", async () => {
    const running = startEndless();
    await working(running);
    const { child, written } = running;
    child.kill("SIGUSR1");
    await once(child.stderr, "data");
    expect(written.stderr).toMatch(/^ {4}\(\d+\.\d\d\/100%\)\n$/);
    written.stderr = "";
    child.kill("SIGUSR2");
    while (!written.stderr.endsWith("\n}\n")) await once(child.stderr, "data");
    const { nodes } = JSON.parse(written.stderr) as { readonly nodes: readonly { readonly driver: string }[] };
    expect(nodes.map(({ driver }) => driver)).toEqual(["null", "null"]);
    child.kill("SIGINT");
    expect(await running.ended).toBe(130);
  });
});

describe("images that cannot be written or read", () => {
  it.each([
    ["convert -O raw", /^qemu-img: \S+: error while converting raw: Could not resize file: File too large\n$/],
    ["convert -O qcow2", /^qemu-img: error while writing at byte \d+: File too large\n$/],
    ["dd -O qcow2 bs=1M", /^qemu-img: error while writing to output image file: File too large\n$/],
  ])("%s tells in one line of a disk that takes no more", (line, message) => {
    const [source, target] = [bench.path("full.raw"), bench.path("limited")];
    writeFileSync(source, Buffer.alloc(4 * 1024 * 1024, 7));
    const names = line.startsWith("dd") ? `if=${source} of=${target}` : `${source} ${target}`;
    const command = `${join(BIN, "qemu-img")} ${line} ${names}`;
    const { status, stderr } = spawnSync("sh", ["-c", `ulimit -f 2048; exec ${command}`], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(message) as string });
  });

  it("a source that cannot be read is told in one line, in the words of qemu-img", async () => {
    writeFileSync(bench.path("readable.raw"), Buffer.alloc(1024 * 1024, 7));
    const source = `driver=raw,file.driver=blkdebug,file.image.filename=${bench.path("readable.raw")},file.inject-error.0.event=read_aio`;
    const words = ["convert", "--image-opts", source, bench.path("unread.raw")];
    const running = start(words, "qemu-img");
    expect(await running.ended).toBe(1);
    expect(running.written.stderr).toBe(bench.theirs(words).stderr);
  });
});

describe("output that cannot be written", () => {
  it("is told in one line where the disk is full", () => {
    const line = `${join(BIN, "coblock")} map --output=json ${bench.path("many.qcow2")} > /dev/full`;
    const { status, stderr } = spawnSync("sh", ["-c", line], { encoding: "utf8" });
    expect(stderr).toMatch(/^coblock: Could not write the output: [^\n]*\n$/);
    expect(status).toBe(1);
  });

  it("ends the command in silence where the reader went away", async () => {
    const running = start(["map", "--output=json", bench.path("many.qcow2")]);
    await once(running.child.stdout, "data");
    running.child.stdout.destroy();
    expect(await running.ended).toBe(141);
    expect(running.written.stderr).toBe("");
  });

  it("is no matter to qemu-img, which does its work", async () => {
    const words = ["map", "--output=json", bench.path("many.qcow2")];
    const running = start(words, "qemu-img");
    await once(running.child.stdout, "data");
    running.child.stdout.destroy();
    expect(await running.ended).toBe(0);
    expect(running.written.stderr).toBe("");
    const theirs = spawnSync("sh", ["-c", `(qemu-img ${words.join(" ")}; echo $? >&2) | true`], { encoding: "utf8" });
    expect(theirs.stderr).toBe("0\n");
  });

  it("ends the command in silence where the reader of a shell's pipe went away", () => {
    const line = `(${join(BIN, "coblock")} map --output=json ${bench.path("many.qcow2")}; echo $? >&2) | head -c 1`;
    expect(spawnSync("sh", ["-c", line], { encoding: "utf8" })).toMatchObject({ stdout: "[", stderr: "141\n" });
  });

  it("waits for the reader of a pipe that somebody has made not to wait", async () => {
    const words = ["map", "--output=json", bench.path("many.qcow2")];
    const expected = start(words);
    await expected.ended;
    const fifo = bench.path("fifo");
    execFileSync("mkfifo", [fifo]);
    const pipe = openSync(fifo, constants.O_RDONLY + constants.O_NONBLOCK);
    const end = openSync(fifo, constants.O_WRONLY + constants.O_NONBLOCK);
    try {
      const child = spawn(join(BIN, "coblock"), words, {
        stdio: ["ignore", end, "inherit"],
      });
      const parts: Buffer[] = [];
      const ended = once(child, "close");
      let going = true;
      void ended.finally(() => (going = false));
      // In small pieces, so that the pipe is full most of the time.
      for (let part = readNow(pipe); going || part.length > 0; part = readNow(pipe)) {
        parts.push(part);
        await setImmediate();
      }
      expect(await ended).toEqual([0, null]);
      expect(Buffer.concat(parts).toString()).toBe(expected.written.stdout);
    } finally {
      closeSync(pipe);
      closeSync(end);
    }
  });
});
