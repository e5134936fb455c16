/** The command with NBD: images by URI, `nbd list`, and `nbd serve` as a process that real clients use. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { main } from "@coblock/cli";
import { copyDisk } from "@coblock/core";
import { Peers } from "./peers.ts";

const peers = new Peers();
/** Built from the sources that are here. */
const COBLOCK = join(import.meta.dirname, "../../packages/cli/bin/coblock");
beforeAll(() => peers.makeChain());
afterAll(() => peers[Symbol.asyncDispose]());

async function coblock(...words: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const exitCode = await main(words, {
    stdout: { write: (text) => (written.stdout += text) },
    stderr: { write: (text) => (written.stderr += text) },
  });
  return { exitCode, ...written };
}

it("`nbd serve` prints where, serves until it is told to end, and tells who came and went", async () => {
  const words = ["nbd", "serve", "-k", peers.path("cli.sock"), "-x", "a/b", "-A", peers.path("top.qcow2")];
  // A server that was killed has left its socket.
  const killed = "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
  await peers.run(process.execPath, ["-e", killed, peers.path("cli.sock")]);
  const child = spawn(COBLOCK, words);
  const written = { stdout: "", stderr: "" };
  child.stderr.on("data", (text: Buffer) => (written.stderr += text.toString()));
  const ended = once(child, "close");
  while (!written.stdout.includes("Ctrl-C")) {
    const [text] = (await once(child.stdout, "data")) as [Buffer];
    written.stdout += text.toString();
  }
  const uri = /nbd\+unix:\S+/.exec(written.stdout)?.[0] ?? "";
  expect(uri).toBe(`nbd+unix:///a/b?socket=${peers.path("cli.sock")}`);
  expect(written.stdout).toContain("24 MiB, qcow2, read-only");
  await peers.succeed("nbdcopy", [uri, peers.path("served.raw")]);
  expect(readFileSync(peers.path("served.raw")).equals(readFileSync(peers.path("top.raw")))).toBe(true);
  expect(await coblock("nbd", "list", uri)).toEqual({ exitCode: 0, stdout: "'a/b'\n", stderr: "" });
  const taken = `coblock: Could not listen on ${peers.path("cli.sock")}: Address already in use\n`;
  expect(await coblock(...words)).toEqual({ exitCode: 1, stdout: "", stderr: taken });
  child.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
  expect(existsSync(peers.path("cli.sock"))).toBe(false);
  expect(written.stderr).toMatch(/client 1 uses export 'a\/b'\n.*has left: \d+ requests, \S+ [KMG]iB read, 0 B written\n/s);
});

it("`convert`, `map`, `compare` and `info` take URIs", async () => {
  const server = await peers.serve(
    "qemu-nbd",
    ["-t", "-e", "0", "-r", "-k", peers.path("u.sock"), "-f", "qcow2", peers.path("top.qcow2")],
    "u.sock",
  );
  const uri = peers.socketUri("u.sock");
  expect((await coblock("convert", "-O", "qcow2", uri, peers.path("out.qcow2"))).exitCode).toBe(0);
  expect(await peers.succeed("qemu-img", ["compare", peers.path("out.qcow2"), peers.path("top.raw")])).toContain("identical");
  expect((await coblock("compare", uri, peers.path("top.raw"))).stdout).toContain("identical");
  expect((await coblock("map", "--output=json", uri)).stdout).toBe(await peers.succeed("qemu-img", ["map", "--output=json", uri]));
  expect((await coblock("info", uri)).stdout).toContain("virtual size: 24 MiB");
  await peers.end(server);
  const { exitCode, stderr } = await coblock("info", uri);
  expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/^coblock: Could not connect to [^\n]*\n$/)]);
});

it("a server that is killed and started again in the middle of a copy: with a delay the copy ends right", async () => {
  const words = ["-f", "-U", peers.path("r.sock"), "file", peers.path("top.raw")];
  let server = await peers.serve("nbdkit", words, "r.sock");
  const source = await peers.graph.open({ driver: "nbd", path: peers.path("r.sock"), reconnectDelay: 50 }, { readOnly: true });
  const target = await peers.graph.open({ driver: "memory", size: source.size });
  let restarted: Promise<void> | undefined;
  const restart = async (): Promise<void> => {
    await peers.end(server, "SIGKILL");
    rmSync(peers.path("r.sock"), { force: true });
    server = await peers.serve("nbdkit", words, "r.sock");
  };
  await copyDisk({ source, target, parallel: 2, onProgress: (done, total) => void (done < total && (restarted ??= restart())) });
  await restarted;
  expect(restarted).toBeDefined();
  const bytes = Buffer.alloc(target.size);
  await target.read(0, bytes);
  expect(bytes.equals(readFileSync(peers.path("top.raw")))).toBe(true);
  await source[Symbol.asyncDispose]();
  await peers.end(server);
});

it("without a delay the copy fails, with one line", async () => {
  const words = ["-f", "-U", peers.path("d.sock"), "file", peers.path("top.raw"), "--filter=delay", "rdelay=300ms"];
  const server = await peers.serve("nbdkit", words, "d.sock");
  const source = await peers.graph.open({ driver: "nbd", path: peers.path("d.sock") }, { readOnly: true });
  const target = await peers.graph.open({ driver: "memory", size: source.size });
  let killed: Promise<void> | undefined;
  const onProgress = (): void => void (killed ??= peers.end(server, "SIGKILL"));
  const failure = await copyDisk({ source, target, parallel: 1, onProgress }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "IO", message: expect.stringMatching(/^lost the connection to [^\n]*$/) as unknown });
  await killed;
  await source[Symbol.asyncDispose]();
});

it.each([
  ["READ", ["error-pread=EIO", "error-pread-rate=30%"]],
  ["WRITE", ["error-pwrite=ENOSPC", "error-pwrite-rate=30%"]],
  ["WRITE_ZEROES", ["error-zero=EIO", "error-zero-rate=60%"]],
])("a copy of which any %s fails is told in one line and by the exit code, and no other is (B33)", async (command, errors) => {
  const socket = `${command}.sock`;
  const file = peers.path(`${command}.raw`);
  const isRead = command === "READ";
  const uri = peers.socketUri(socket);
  const raw = ["-f", "raw", "-O", "raw"];
  let failed = 0;
  for (let attempt = 0; attempt < 6; attempt++) {
    writeFileSync(file, isRead ? readFileSync(peers.path("top.raw")) : Buffer.alloc(24 * 1024 * 1024, 1));
    const server = await peers.serve("nbdkit", ["-f", "-U", peers.path(socket), "file", file, "--filter=error", ...errors], socket);
    const copy = peers.path(`${command}-copy.raw`);
    const words = isRead ? [...raw, uri, copy] : ["-n", ...raw, peers.path("top.raw"), uri];
    const { exitCode, stderr } = await coblock("convert", ...words);
    await peers.end(server);
    rmSync(peers.path(socket), { force: true });
    if (exitCode === 0) expect(readFileSync(isRead ? copy : file).equals(readFileSync(peers.path("top.raw")))).toBe(true);
    else expect(stderr).toMatch(new RegExp(`^coblock: ${peers.path(socket)}: ${command} of \\d+ bytes at offset \\d+ failed: [^\\n]*\\n$`));
    if (exitCode !== 0) failed++;
  }
  expect(failed).toBeGreaterThan(0);
});
