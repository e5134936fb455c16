/** The command as a process: signals, and a reader that goes away. */

import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Workbench } from "./workbench.ts";

const bench = new Workbench();
const SCRIPT = fileURLToPath(new URL("./spawned.ts", import.meta.url));

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

function start(words: readonly string[]): Running {
  const child = spawn(process.execPath, ["--conditions=@coblock/source", "--import", "tsx", SCRIPT, ...words]);
  const written = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (written.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (written.stderr += text));
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  return { child, written, ended };
}

/** Work without end: 8 PiB of data from nowhere to nowhere. */
function startEndless(): Running {
  const source = "driver=null,size=8000T,read-zeroes=off";
  return start(["convert", "-p", "-n", "--image-opts", "--target-image-opts", "-S", "0", source, "driver=null,size=8000T"]);
}

/** The first percentage is printed when the signals are listened to and the work is about to begin. */
async function working({ child }: Running): Promise<void> {
  await once(child.stdout, "data");
}

describe("signals", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends the work with one line", async (signal, exitCode) => {
    const running = startEndless();
    await working(running);
    running.child.kill(signal);
    expect(await running.ended).toBe(exitCode);
    expect(running.written.stderr).toMatch(new RegExp(`^coblock: interrupted by ${signal}; '[^\n]*' is incomplete\n$`));
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

describe("output that cannot be written", () => {
  it("is told in one line where the disk is full", () => {
    const line = `node --conditions=@coblock/source --import tsx ${SCRIPT} map --output=json ${bench.path("many.qcow2")} > /dev/full`;
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
});
